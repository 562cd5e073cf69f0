// Nodes that end a model: the fused classifier, and losses over vectors.
#pragma once

#include "runtime/kernels/cuda/bodies/losses.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"

namespace trireme::cuda {

[[nodiscard]] inline LossGradient loss_gradient(const KernelBuffers& b) {
    return {b.context != nullptr ? b.context->loss_scale : nullptr};
}

template <class Launch>
class SoftmaxCrossEntropyKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    SoftmaxCrossEntropyKernels(const layers::SoftmaxCrossEntropy& op, const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)),
          smoothing_(op.label_smoothing),
          classes_(view.width()),
          rows_(view.rows()),
          positions_(rows_ / view.request.batch) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        auto* losses = values_of<float>(positions_ > 1 ? b.scratch : b.output);
        Launch::blocks(stream, rows_, threads_for_row(classes_),
                       SoftmaxCrossEntropyForward{
                           classes_, this->input(b), labels(b), static_cast<float>(smoothing_), at_label(),
                           this->training() ? values_of<SoftmaxRow>(b.saved) : nullptr, losses});
        if (positions_ == 1) return;
        Launch::blocks(stream, this->outputs(), threads_for_row(positions_),
                       MeanOfPositions{positions_, losses, values_of<float>(b.output)});
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        this->packs(stream, rows_ * classes_,
                    SoftmaxCrossEntropyGradient{
                        rows_ * classes_, classes_, this->input(b), labels(b), values_of<SoftmaxRow>(b.saved),
                        at_label(), static_cast<float>(smoothing_ / static_cast<double>(classes_)),
                        static_cast<float>(positions_), loss_gradient(b), this->d_input(b)});
    }

  private:
    [[nodiscard]] static const std::int32_t* labels(const KernelBuffers& b) {
        return values_of<std::int32_t>(b.inputs[1]);
    }
    [[nodiscard]] float at_label() const { return static_cast<float>(1 - smoothing_); }

    double smoothing_;
    std::int64_t classes_;
    std::int64_t rows_;
    std::int64_t positions_;
};

template <class Launch, class Rule>
class VectorLossKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    VectorLossKernels(const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)), width_(view.input.elements().value) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        Launch::blocks(
            stream, this->outputs(), threads_for_row(width_),
            VectorLossForward<Rule>{width_, this->input(b), this->input(b, 1), values_of<float>(b.output)});
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const std::int64_t elements = this->outputs() * width_;
        this->packs(stream, elements,
                    VectorLossGradient<Rule>{elements, static_cast<float>(width_), this->input(b),
                                             this->input(b, 1), loss_gradient(b), this->d_input(b)});
    }

  private:
    std::int64_t width_;
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::SoftmaxCrossEntropy& op, const NodeView& view) {
    return std::make_unique<SoftmaxCrossEntropyKernels<Launch>>(op, view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::BceWithLogits& op, const NodeView& view) {
    return std::make_unique<VectorLossKernels<Launch, BinaryCrossEntropy>>(view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::MeanSquaredError& op, const NodeView& view) {
    return std::make_unique<VectorLossKernels<Launch, SquaredError>>(view, plan_of(op, view));
}

}  // namespace trireme::cuda
