// The kernels of nodes, written over a launch policy: on the device it starts CUDA kernels on the stream; in
// tests it runs their bodies on the CPU. So the order of launches, the memory that they pass on and what they
// leave for backward are one source, proved without a GPU. A policy offers
//
//     static void each(Stream&, std::int64_t count, const Body&)                  body(index)
//     static void blocks(Stream&, std::int64_t count, int threads, const Body&)   body(block, index)
//
// Each family's make_own is defined in a header of this folder and instantiated once a policy: in a .cu file,
// and in tests/hostrun.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/nodes/for_each_row.hpp"
#include "runtime/kernels/cuda/nodes/sum_columns.hpp"
#include "runtime/kernels/cuda/nodes/typed_memory.hpp"
#include "runtime/kernels/rules/cuda_plans.hpp"
#include "runtime/kernels/rules/cuda_rules.hpp"

namespace trireme::cuda {

/// What all families share. A node without parameters or a fused activation has nothing to do for these.
template <class Launch, class Plan>
class OwnKernels : public NodeKernels {
  public:
    OwnKernels(const NodeView& view, Plan plan)
        : plan_(std::move(plan)),
          training_(view.request.training),
          outputs_(view.outputs()),
          output_type_(view.output_dtype()) {
        for (std::size_t i = 0; i < view.node.inputs.size(); ++i) input_types_.push_back(view.input_dtype(i));
    }

    [[nodiscard]] KernelNeeds needs() const override { return plan_.rules.needs; }
    [[nodiscard]] std::string describe() const override { return plan_.rules.implementation; }
    void backward_activation(Stream&, const KernelBuffers&) override {}
    void backward_weight(Stream&, const KernelBuffers&) override {}

  protected:
    [[nodiscard]] const Plan& plan() const { return plan_; }
    [[nodiscard]] bool training() const { return training_; }
    /// Elements of the output in one launch.
    [[nodiscard]] std::int64_t outputs() const { return outputs_; }

    [[nodiscard]] Source input(const KernelBuffers& b, std::size_t i = 0) const {
        return {b.inputs[i], input_types_[i]};
    }
    [[nodiscard]] Sink output(const KernelBuffers& b) const { return {b.output, output_type_}; }
    [[nodiscard]] Source d_output(const KernelBuffers& b) const { return {b.d_output, output_type_}; }
    /// Null memory where it is not wanted.
    [[nodiscard]] Sink d_input(const KernelBuffers& b, std::size_t i = 0) const {
        return {b.d_inputs[i], input_types_[i]};
    }
    [[nodiscard]] std::size_t inputs() const { return input_types_.size(); }

    /// Body: an index is a pack of `elements`.
    template <class Body>
    static void packs(Stream& stream, std::int64_t elements, const Body& body) {
        Launch::each(stream, packs_of(elements), body);
    }
    /// The gradient through a fused relu, in place.
    void undo_relu(Stream& stream, const KernelBuffers& b) const {
        const Sink d{b.d_output, output_type_};
        packs(stream, outputs_,
              Map2<ReluSlope>{outputs_, d.source(), {b.output, output_type_}, d, ReluSlope{}});
    }
    template <class Rule>
    static void rows(Stream& stream, const Tiling& tiling, const Rule& rule) {
        for_each_row<Launch>(stream, tiling, rule);
    }
    template <class Terms, class Finish>
    static void sum_columns(Stream& stream, const Tiling& tiling, const Terms& terms, const Finish& finish,
                            std::byte* partials) {
        cuda::sum_columns<Launch>(stream, tiling, terms, finish, partials);
    }

  private:
    Plan plan_;
    bool training_;
    std::int64_t outputs_;
    DType output_type_;
    std::vector<DType> input_types_;
};

template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Relu& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Tanh& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Sigmoid& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Gelu& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Bias& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::PositionEmbedding& op,
                                                    const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Add& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Concat& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Dropout& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Pool2d& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::GlobalAveragePool& op,
                                                    const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::BatchNorm& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::LayerNorm& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::SoftmaxCrossEntropy& op,
                                                    const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::BceWithLogits& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::MeanSquaredError& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Embedding& op, const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::CausalSelfAttention& op,
                                                    const NodeView& view);
template <class Launch>
[[nodiscard]] std::unique_ptr<NodeKernels> make_own(const layers::Linear& op, const NodeView& view);

/// Our own kernels as a provider: what the rules take, launched by a policy.
template <class Launch>
class OwnProvider final : public KernelProvider {
  public:
    explicit OwnProvider(DeviceModel device) : device_(std::move(device)) {}

    [[nodiscard]] std::string_view name() const override { return rules_.name(); }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override {
        const RuleOffer answer = rules_.offer(request, device_);
        if (!answer.rules) return {nullptr, answer.refusal};
        const NodeView view(request);
        KernelOffer result;
        std::visit(
            [&](const auto& op) {
                if constexpr (requires { make_own<Launch>(op, view); })
                    result.kernels = make_own<Launch>(op, view);
            },
            view.node.op);
        return result;
    }

  private:
    CudaRules rules_;
    DeviceModel device_;
};

}  // namespace trireme::cuda
