// What all rewrites do: carry a graph over into a new one, node by node, where some nodes change and others
// are swallowed. Only layers/rewrite includes this.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "layers/graph.hpp"

namespace trireme::layers {

class GraphCopy {
  public:
    /// The new graph has the ends, parameters and buffers of `from`, in its order, and no nodes yet.
    explicit GraphCopy(const ModelGraph& from);

    /// True for a node that an earlier one has swallowed.
    [[nodiscard]] bool is_done(const Node& node) const { return moved(node.output) != -1; }
    /// Appends `node` with another op, other inputs (tensors of the old graph) and parameters; its output and
    /// those of the nodes that it swallows are one tensor now.
    void add(const Node& node, const Op& op, const std::vector<TensorId>& inputs,
             const std::vector<ParamId>& params, const std::vector<NodeId>& swallowed = {});
    /// Appends `node` as it is.
    void add(const Node& node) { add(node, node.op, node.inputs, node.params); }

    /// The tensor of the new graph; -1 where it does not exist yet.
    [[nodiscard]] TensorId moved(TensorId old) const { return moved_.at(static_cast<std::size_t>(old)); }
    [[nodiscard]] ModelGraph& graph() { return to_; }

  private:
    const ModelGraph& from_;
    ModelGraph to_;
    std::vector<TensorId> moved_;
};

/// The only reader of `id`, if its op is an `O`.
template <class O>
[[nodiscard]] std::optional<NodeId> single_reader(const ModelGraph& graph, TensorId id) {
    const std::vector<NodeId> readers = graph.readers_of(id);
    if (readers.size() != 1 || !std::holds_alternative<O>(graph.node(readers.front()).op))
        return std::nullopt;
    return readers.front();
}

/// "conv1 takes in conv1_bias and relu1: conv2d(...)"
[[nodiscard]] std::string fusion_line(const ModelGraph& graph, const Node& node, const Op& op,
                                      const std::vector<NodeId>& swallowed);

}  // namespace trireme::layers
