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
    /// those of the nodes that it swallows are one tensor now, and their buffers stand behind its own.
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

/// The node that reads a tensor, where there is no other.
[[nodiscard]] std::optional<NodeId> only_reader(const ModelGraph& graph, TensorId tensor);
/// True where another node reads a parameter of `node`, too. Such nodes are left alone: the gradients of a
/// node's parameters are all tied to the same others or none is.
[[nodiscard]] bool shares_params(const ModelGraph& graph, const Node& node);

/// The nodes behind one node that it swallows, taken one after the other; each must be the only reader of
/// what is in front of it, since that exists no more afterwards.
class Tail {
  public:
    /// Both must outlive it; `copy` holds what stands in front of `node`.
    Tail(const GraphCopy& copy, const ModelGraph& graph, const Node& node)
        : copy_(copy), graph_(graph), node_(node), end_(node.output) {}

    /// The next node, if its op is an `O`; null, and nothing is taken, otherwise.
    template <class O>
    const Node* take() {
        const std::optional<NodeId> reader = only_reader(graph_, end_);
        return reader && std::holds_alternative<O>(graph_.node(*reader).op) ? swallow(*reader) : nullptr;
    }
    /// The next node, if it adds one other tensor, which is given back. That must be there before the node,
    /// and must not be an input of it already: a node reads no tensor twice.
    std::optional<TensorId> take_residual();

    [[nodiscard]] const std::vector<NodeId>& swallowed() const { return swallowed_; }

  private:
    const Node* swallow(NodeId id);

    const GraphCopy& copy_;
    const ModelGraph& graph_;
    const Node& node_;
    TensorId end_;
    std::vector<NodeId> swallowed_;
};

/// What stands behind all sums that a node forms, in this order: the addition of a residual, which becomes
/// the last of `inputs`, where the op has one, and a relu.
template <class O>
void fuse_residual_and_relu(Tail& tail, O& op, std::vector<TensorId>& inputs) {
    if (op.activation != Activation::none) return;
    if constexpr (requires { op.residual; }) {
        const std::optional<TensorId> residual = op.residual ? std::nullopt : tail.take_residual();
        if (residual) inputs.push_back(*residual);
        op.residual = op.residual || residual;
    }
    if (tail.take<Relu>() != nullptr) op.activation = Activation::relu;
}

/// "conv1 takes in conv1_bias and relu1: conv2d(...)"
[[nodiscard]] std::string fusion_line(const ModelGraph& graph, const Node& node, const Op& op,
                                      const std::vector<NodeId>& swallowed);

}  // namespace trireme::layers
