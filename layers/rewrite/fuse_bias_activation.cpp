#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// What becomes of one node: the op, inputs and parameters it has afterwards, and the nodes that it swallows.
struct Fusion {
    Op op;
    std::vector<TensorId> inputs;
    std::vector<ParamId> params;
    std::vector<NodeId> swallowed;
};

template <class O>
Fusion fuse_from(const ModelGraph& graph, const GraphCopy& copy, const Node& node, O op) {
    Fusion fusion{op, node.inputs, node.params, {}};
    Tail tail(copy, graph, node);
    const bool adds_residual = node.inputs.size() > 1;  // behind which there is no place for a bias
    if (!op.bias && !adds_residual && op.activation == Activation::none) {
        if (const Node* bias = tail.take<Bias>(); bias != nullptr) {
            op.bias = true;
            fusion.params.push_back(bias->params.front());
        }
    }
    fuse_residual_and_relu(tail, op, fusion.inputs);
    fusion.op = op;
    fusion.swallowed = tail.swallowed();
    return fusion;
}

Fusion fusion_of(const ModelGraph& graph, const GraphCopy& copy, const Node& node) {
    if (const auto* conv = std::get_if<Conv2d>(&node.op)) return fuse_from(graph, copy, node, *conv);
    if (const auto* linear = std::get_if<Linear>(&node.op)) return fuse_from(graph, copy, node, *linear);
    return {node.op, node.inputs, node.params, {}};
}

}  // namespace

Rewritten fuse_bias_activation(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    for (const Node& node : graph.nodes()) {
        if (copy.is_done(node)) continue;
        const Fusion fusion = fusion_of(graph, copy, node);
        copy.add(node, fusion.op, fusion.inputs, fusion.params, fusion.swallowed);
        if (!fusion.swallowed.empty()) {
            lines.push_back("fuse_bias_activation: " + fusion_line(graph, node, fusion.op, fusion.swallowed));
        }
    }
    return {std::move(copy.graph()), std::move(lines)};
}

Rewritten fuse(const ModelGraph& graph) {
    Rewritten done{graph, {}};
    for (auto* rewrite : {pool_before_relu, fuse_bias_activation, fuse_batch_norm}) {
        Rewritten next = rewrite(done.graph);
        done.graph = std::move(next.graph);
        done.lines.insert(done.lines.end(), next.lines.begin(), next.lines.end());
    }
    return done;
}

}  // namespace trireme::layers
