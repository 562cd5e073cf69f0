// Selection: which provider runs each node. Made once, from the graph and the back end's providers, before
// any rank knows its place; the choice depends on the batch only where a provider refuses a size, and is the
// same on all ranks.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/kernels/kernel.hpp"

namespace trireme {

struct SelectionOptions {
    int threads = 1;
    Bytes workspace_cap{std::int64_t{512} << 20};
};

class Selection {
  public:
    /// `providers` in order of preference; they and the graph must outlive the selection.
    Selection(const layers::ModelGraph& graph, const std::vector<std::unique_ptr<KernelProvider>>& providers,
              SelectionOptions options);

    [[nodiscard]] const layers::ModelGraph& graph() const { return *graph_; }
    [[nodiscard]] int threads() const { return options_.threads; }

    /// The kernels of a node for one batch size; made on first use and kept. Views have none.
    [[nodiscard]] NodeKernels& kernels(layers::NodeId node, std::int64_t batch, bool training) const;
    /// Kernels are made anew on their next use: providers have learnt which are faster. Nobody may hold any.
    void forget_kernels() const { choices_.clear(); }
    /// Name of the provider that took the node at this batch size, and why the ones before it did not.
    [[nodiscard]] const std::string& provider(layers::NodeId node, std::int64_t batch, bool training) const;
    [[nodiscard]] const std::vector<std::string>& refusals(layers::NodeId node, std::int64_t batch,
                                                           bool training) const;

    /// True where the gradient of a tensor is wanted: some parameter lies upstream of it.
    [[nodiscard]] bool wants_gradient(layers::TensorId tensor) const {
        return wants_gradient_.at(static_cast<std::size_t>(tensor));
    }
    /// The tensor whose memory `tensor` is a view of (itself where it is none).
    [[nodiscard]] layers::TensorId root_of(layers::TensorId tensor) const {
        return root_.at(static_cast<std::size_t>(tensor));
    }

    /// A line a node: provider and implementation; then a line for each reason why others did not take nodes.
    [[nodiscard]] std::string str(std::int64_t batch, bool training) const;

  private:
    struct Choice {
        std::string provider;
        std::vector<std::string> refusals;
        std::unique_ptr<NodeKernels> kernels;
    };
    using Key = std::tuple<layers::NodeId, std::int64_t, bool>;
    [[nodiscard]] const Choice& choice(layers::NodeId node, std::int64_t batch, bool training) const;

    const layers::ModelGraph* graph_;
    const std::vector<std::unique_ptr<KernelProvider>>* providers_;
    SelectionOptions options_;
    std::vector<bool> wants_gradient_;
    std::vector<layers::TensorId> root_;
    mutable std::map<Key, Choice> choices_;  // filled on demand; a selection belongs to one thread
};

}  // namespace trireme
