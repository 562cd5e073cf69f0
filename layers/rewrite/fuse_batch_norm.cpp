#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {

Rewritten fuse_batch_norm(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    for (const Node& node : graph.nodes()) {
        if (copy.is_done(node)) continue;
        if (!std::holds_alternative<BatchNorm>(node.op)) {
            copy.add(node);
            continue;
        }
        BatchNorm op = std::get<BatchNorm>(node.op);
        std::vector<TensorId> inputs = node.inputs;
        Tail tail(copy, graph, node);
        fuse_residual_and_relu(tail, op, inputs);
        copy.add(node, op, inputs, node.params, tail.swallowed());
        if (!tail.swallowed().empty()) {
            lines.push_back("fuse_batch_norm: " + fusion_line(graph, node, op, tail.swallowed()));
        }
    }
    return {std::move(copy.graph()), std::move(lines)};
}

}  // namespace trireme::layers
