#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// What becomes of one batch norm: its op, the tensors that it reads afterwards and the nodes that it
/// swallows.
struct NormFusion {
    BatchNorm op;
    std::vector<TensorId> inputs;
    std::vector<NodeId> swallowed;
};

/// The tensor that an addition of two adds to `id`.
TensorId other_input(const Node& add, TensorId id) {
    return add.inputs[0] == id ? add.inputs[1] : add.inputs[0];
}

NormFusion norm_fusion_of(const ModelGraph& graph, const GraphCopy& copy, const Node& node,
                          const BatchNorm& op) {
    NormFusion fusion{op, node.inputs, {}};
    if (op.activation != Activation::none) return fusion;
    TensorId end = node.output;
    if (const auto add = op.residual ? std::nullopt : single_reader<Add>(graph, end);
        add && graph.node(*add).inputs.size() == 2) {
        const TensorId residual = other_input(graph.node(*add), end);
        // Made by an earlier node, and not the batch norm's own input, which a node cannot read twice.
        if (copy.moved(residual) != -1 && residual != node.inputs.front()) {
            fusion.op.residual = true;
            fusion.inputs.push_back(residual);
            fusion.swallowed.push_back(*add);
            end = graph.node(*add).output;
        }
    }
    if (const auto relu = single_reader<Relu>(graph, end)) {
        fusion.op.activation = Activation::relu;
        fusion.swallowed.push_back(*relu);
    }
    return fusion;
}

}  // namespace

Rewritten fuse_batch_norm(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    for (const Node& node : graph.nodes()) {
        if (copy.is_done(node)) continue;
        const auto* norm = std::get_if<BatchNorm>(&node.op);
        if (norm == nullptr) {
            copy.add(node);
            continue;
        }
        const NormFusion fusion = norm_fusion_of(graph, copy, node, *norm);
        copy.add(node, fusion.op, fusion.inputs, node.params, fusion.swallowed);
        if (!fusion.swallowed.empty()) {
            lines.push_back("fuse_batch_norm: " + fusion_line(graph, node, fusion.op, fusion.swallowed));
        }
    }
    return {std::move(copy.graph()), std::move(lines)};
}

}  // namespace trireme::layers
