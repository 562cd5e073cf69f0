#include "layers/rewrite/graph_copy.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace trireme::layers {
namespace {

ModelGraph without_nodes(const ModelGraph& from) {
    const TensorSpec& input = from.tensor(from.input());
    const TensorSpec& target = from.tensor(from.target());
    ModelGraph to(from.name(), input.shape, target.shape, target.dtype, input.dtype);
    for (const ParamSpec& spec : from.params()) to.add_param(spec);
    for (const BufferSpec& spec : from.buffers()) to.add_buffer(spec);
    return to;
}

}  // namespace

GraphCopy::GraphCopy(const ModelGraph& from)
    : from_(from), to_(without_nodes(from)), moved_(from.tensors().size(), -1) {
    moved_[static_cast<std::size_t>(from.input())] = to_.input();
    moved_[static_cast<std::size_t>(from.target())] = to_.target();
}

void GraphCopy::add(const Node& node, const Op& op, const std::vector<TensorId>& inputs,
                    const std::vector<ParamId>& params, const std::vector<NodeId>& swallowed) {
    std::vector<TensorId> now;
    for (TensorId id : inputs) now.push_back(moved(id));
    std::vector<BufferId> buffers = node.buffers;
    for (NodeId id : swallowed) {
        const std::vector<BufferId>& more = from_.node(id).buffers;
        buffers.insert(buffers.end(), more.begin(), more.end());
    }
    const TensorId output = to_.add_with_params(node.name, op, now, params, std::move(buffers));
    const DType dtype = from_.tensor(node.output).dtype;
    if (!is_view(op) && dtype != to_.tensor(output).dtype) to_.store_as(output, dtype);
    moved_[static_cast<std::size_t>(node.output)] = output;
    for (NodeId id : swallowed) moved_[static_cast<std::size_t>(from_.node(id).output)] = output;
}

std::optional<NodeId> only_reader(const ModelGraph& graph, TensorId tensor) {
    const std::vector<NodeId> readers = graph.readers_of(tensor);
    if (readers.size() != 1) return std::nullopt;
    return readers.front();
}

bool shares_params(const ModelGraph& graph, const Node& node) {
    return std::any_of(graph.nodes().begin(), graph.nodes().end(), [&](const Node& other) {
        return other.name != node.name &&
               std::any_of(other.params.begin(), other.params.end(), [&](ParamId p) {
                   return std::find(node.params.begin(), node.params.end(), p) != node.params.end();
               });
    });
}

const Node* Tail::swallow(NodeId id) {
    swallowed_.push_back(id);
    end_ = graph_.node(id).output;
    return &graph_.node(id);
}

std::optional<TensorId> Tail::take_residual() {
    const std::optional<NodeId> reader = only_reader(graph_, end_);
    if (!reader || !std::holds_alternative<Add>(graph_.node(*reader).op)) return std::nullopt;
    const std::vector<TensorId>& summands = graph_.node(*reader).inputs;
    if (summands.size() != 2) return std::nullopt;
    const TensorId other = summands[0] == end_ ? summands[1] : summands[0];
    const bool read_already =
        std::find(node_.inputs.begin(), node_.inputs.end(), other) != node_.inputs.end();
    if (copy_.moved(other) == -1 || read_already) return std::nullopt;
    swallow(*reader);
    return other;
}

std::string fusion_line(const ModelGraph& graph, const Node& node, const Op& op,
                        const std::vector<NodeId>& swallowed) {
    std::string names;
    for (NodeId id : swallowed) names += (names.empty() ? "" : " and ") + graph.node(id).name;
    return fmt::format("{} takes in {}: {}({})", node.name, names, name_of(op), attributes_of(op));
}

}  // namespace trireme::layers
