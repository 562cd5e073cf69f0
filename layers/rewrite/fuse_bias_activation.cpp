#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// What becomes of one node: the op and parameters it has afterwards, and the nodes that it swallows.
struct Fusion {
    Op op;
    std::vector<ParamId> params;
    std::vector<NodeId> swallowed;
};

template <class O>
Fusion fuse_from(const ModelGraph& graph, const Node& node, O op) {
    Fusion fusion{op, node.params, {}};
    if (op.activation != Activation::none) return fusion;
    TensorId end = node.output;
    if (!op.bias) {
        const auto bias = single_reader<Bias>(graph, end);
        if (!bias) return fusion;
        op.bias = true;
        fusion.params.push_back(graph.node(*bias).params.front());
        fusion.swallowed.push_back(*bias);
        end = graph.node(*bias).output;
    }
    if (const auto relu = single_reader<Relu>(graph, end)) {
        op.activation = Activation::relu;
        fusion.swallowed.push_back(*relu);
    }
    fusion.op = op;
    return fusion;
}

Fusion fusion_of(const ModelGraph& graph, const Node& node) {
    if (const auto* conv = std::get_if<Conv2d>(&node.op)) return fuse_from(graph, node, *conv);
    if (const auto* linear = std::get_if<Linear>(&node.op)) return fuse_from(graph, node, *linear);
    return {node.op, node.params, {}};
}

}  // namespace

Rewritten fuse_bias_activation(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    for (const Node& node : graph.nodes()) {
        if (copy.is_done(node)) continue;
        const Fusion fusion = fusion_of(graph, node);
        copy.add(node, fusion.op, node.inputs, fusion.params, fusion.swallowed);
        if (!fusion.swallowed.empty()) {
            lines.push_back("fuse_bias_activation: " + fusion_line(graph, node, fusion.op, fusion.swallowed));
        }
    }
    return {std::move(copy.graph()), std::move(lines)};
}

Rewritten fuse(const ModelGraph& graph) {
    Rewritten first = fuse_bias_activation(graph);
    Rewritten second = fuse_batch_norm(first.graph);
    second.lines.insert(second.lines.begin(), first.lines.begin(), first.lines.end());
    return second;
}

}  // namespace trireme::layers
