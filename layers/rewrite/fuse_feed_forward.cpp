#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

struct FeedForwardFusion {
    FeedForward op;
    std::vector<ParamId> params;
    std::vector<NodeId> swallowed;
};

/// A linear layer with a bias whose parameters no other node reads.
const Linear* lone_linear(const ModelGraph& graph, const Node& node) {
    const auto* linear = std::get_if<Linear>(&node.op);
    if (linear == nullptr || !linear->bias) return nullptr;
    return shares_params(graph, node) ? nullptr : linear;
}

std::optional<FeedForwardFusion> feed_forward_fusion_of(const ModelGraph& graph, const GraphCopy& copy,
                                                        const Node& node) {
    const Linear* first = lone_linear(graph, node);
    if (first == nullptr) return std::nullopt;
    FeedForwardFusion fusion{{.hidden_features = first->out_features}, node.params, {}};
    Tail tail(copy, graph, node);
    if (first->activation == Activation::relu) {
        fusion.op.activation_inside = HiddenActivation::relu;
    } else {
        const Node* gelu = tail.take<Gelu>();
        if (gelu == nullptr || !std::get<Gelu>(gelu->op).tanh) return std::nullopt;
    }
    const Node* last = tail.take<Linear>();
    if (last == nullptr) return std::nullopt;
    const Linear* second = lone_linear(graph, *last);
    if (second == nullptr || second->activation != Activation::none) return std::nullopt;
    fusion.op.out_features = second->out_features;
    fusion.params.insert(fusion.params.end(), last->params.begin(), last->params.end());
    fusion.swallowed = tail.swallowed();
    return fusion;
}

}  // namespace

Rewritten fuse_feed_forward(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    for (const Node& node : graph.nodes()) {
        if (copy.is_done(node)) continue;
        const std::optional<FeedForwardFusion> fusion = feed_forward_fusion_of(graph, copy, node);
        if (!fusion) {
            copy.add(node);
            continue;
        }
        copy.add(node, fusion->op, node.inputs, fusion->params, fusion->swallowed);
        lines.push_back("fuse_feed_forward: " + fusion_line(graph, node, fusion->op, fusion->swallowed));
    }
    return {std::move(copy.graph()), std::move(lines)};
}

}  // namespace trireme::layers
