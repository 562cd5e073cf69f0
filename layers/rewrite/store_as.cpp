#include <algorithm>

#include <fmt/format.h>

#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// The tensors whose memory a loss reads: its inputs, through views.
std::vector<TensorId> read_by_loss(const ModelGraph& graph) {
    std::vector<TensorId> ids;
    for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
        const bool viewed = is_view(node->op) && std::find(ids.begin(), ids.end(), node->output) != ids.end();
        if (is_loss(node->op) || viewed) ids.insert(ids.end(), node->inputs.begin(), node->inputs.end());
    }
    return ids;
}

}  // namespace

Rewritten store_as(const ModelGraph& graph, DType half) {
    const std::vector<TensorId> precise = read_by_loss(graph);
    GraphCopy copy(graph);
    int stored = 0;
    for (const Node& node : graph.nodes()) {
        copy.add(node);
        const bool stays = is_view(node.op) || is_loss(node.op) ||
                           std::find(precise.begin(), precise.end(), node.output) != precise.end();
        if (stays) continue;
        copy.graph().store_as(copy.moved(node.output), half);
        ++stored;
    }
    return {std::move(copy.graph()),
            {fmt::format("store_as_{}: {} of {} activations; samples, logits and losses stay fp32",
                         name_of(half), stored, graph.nodes().size())}};
}

}  // namespace trireme::layers
