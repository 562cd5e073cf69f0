// Nodes that run cuDNN's graphs, over two policies. Bodies of our own (conversions, the order of weights,
// relu's gradient, the bias's gradient) go through a launch policy, as those of runtime/kernels/cuda do;
// graphs through a policy that offers
//
//     std::shared_ptr<Plan> plan(const GraphSpec&)    null where the library has no plan
//     std::string refusal() const                     of the last that was null, in the library's own words
//     void run(Plan&, Stream&, const Operands&, std::byte* workspace)
//     std::string Plan::name() const                  "", or which one it is, with its parameters
//
// On a GPU that is cuDNN, in tests the definition of each graph on the very tensors that cuDNN would be
// given: so what lies between the graphs is one source, proved without a GPU.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/alignment.hpp"
#include "runtime/kernels/cuda/nodes/weight_order.hpp"
#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/rules/cudnn_graphs.hpp"

namespace trireme::cudnn {

/// Memory of a graph's tensors, in the order of tensors_of. What is written is written through it.
using Operands = std::vector<const std::byte*>;

template <class Graphs>
class GraphKernels : public NodeKernels {
  public:
    [[nodiscard]] KernelNeeds needs() const override { return rules_.needs; }
    [[nodiscard]] std::string describe() const override {
        return names_.empty() ? rules_.implementation : rules_.implementation + ", " + names_;
    }
    /// Why there are no kernels after all; empty where there are.
    [[nodiscard]] const std::string& refusal() const { return refusal_; }

  protected:
    /// One graph with the plan that runs it. Its operands have room from the start: a launch allocates none.
    struct Planned {
        std::shared_ptr<typename Graphs::Plan> plan;
        Operands operands;
    };

    GraphKernels(NodeRules rules, std::shared_ptr<Graphs> graphs)
        : rules_(std::move(rules)), graphs_(std::move(graphs)) {}

    [[nodiscard]] Planned planned(const GraphSpec& spec) {
        Planned made = planned_if_there(spec);
        if (made.plan == nullptr) refusal_ = std::string(name_of(spec.kind)) + ": " + graphs_->refusal();
        return made;
    }
    /// A null plan where the library has none, which is no refusal: there is another way.
    [[nodiscard]] Planned planned_if_there(const GraphSpec& spec) {
        Planned made{graphs_->plan(spec), {}};
        if (made.plan == nullptr) return made;
        made.operands.reserve(tensors_of(spec).size());
        note(made.plan->name());
        return made;
    }
    /// Adds to what the plan prints.
    void note(std::string_view word) {
        if (word.empty()) return;
        if (!names_.empty()) names_ += ' ';
        names_ += word;
    }

    void run(Planned& graph, Stream& stream, std::byte* workspace) {
        graphs_->run(*graph.plan, stream, graph.operands, workspace);
    }

  private:
    NodeRules rules_;
    std::shared_ptr<Graphs> graphs_;
    std::string names_;
    std::string refusal_;
};

[[nodiscard]] inline cuda::WeightShape weight_shape(const ConvGeometry& g) {
    return {g.out_channels, g.channels_in_group(), {g.kernel[0], g.kernel[1]}};
}

}  // namespace trireme::cudnn
