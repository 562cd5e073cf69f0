#include <map>
#include <optional>

#include "layers/rewrite/graph_copy.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::layers {
namespace {

/// The max pool that alone reads the output of a relu.
std::optional<NodeId> pool_behind(const ModelGraph& graph, const Node& node) {
    if (!std::holds_alternative<Relu>(node.op)) return std::nullopt;
    const std::vector<NodeId> readers = graph.readers_of(node.output);
    if (readers.size() != 1) return std::nullopt;
    const auto* pool = std::get_if<Pool2d>(&graph.node(readers.front()).op);
    const bool takes = pool != nullptr && pool->kind == PoolKind::max && pool->activation == Activation::none;
    return takes ? std::optional(readers.front()) : std::nullopt;
}

}  // namespace

Rewritten pool_before_relu(const ModelGraph& graph) {
    GraphCopy copy(graph);
    std::vector<std::string> lines;
    std::map<NodeId, const Node*> relu_of;  // of the pools that take one in
    for (NodeId id = 0; id < static_cast<NodeId>(graph.nodes().size()); ++id) {
        const Node& node = graph.node(id);
        if (const std::optional<NodeId> pool = pool_behind(graph, node)) {
            relu_of[*pool] = &node;
        } else if (const auto relu = relu_of.find(id); relu != relu_of.end()) {
            Pool2d op = std::get<Pool2d>(node.op);
            op.activation = Activation::relu;
            copy.add(node, op, relu->second->inputs, node.params);
            lines.push_back("pool_before_relu: " + node.name + " comes before " + relu->second->name);
        } else {
            copy.add(node);
        }
    }
    return {std::move(copy.graph()), std::move(lines)};
}

}  // namespace trireme::layers
