// Plain kernels of ops that multiply matrices, for what the libraries refuse: attention and linear layers.
#pragma once

#include <cmath>

#include "runtime/kernels/cuda/bodies/attention.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/bodies/linear.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"

namespace trireme::cuda {

template <class Launch>
class AttentionKernels final : public OwnKernels<Launch, NodePlan> {
  public:
    AttentionKernels(const layers::CausalSelfAttention& op, const NodeView& view, NodePlan plan)
        : OwnKernels<Launch, NodePlan>(view, std::move(plan)), batch_(view.request.batch) {
        shape_ = {.heads = op.heads,
                  .positions = view.input[0],
                  .channels = view.output[1],
                  .width = view.output[1] / op.heads,
                  .scale = 0};
        shape_.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape_.width)));
    }

    void forward(Stream& stream, const KernelBuffers& b) override {
        each_row(stream, AttentionForward{shape_, this->input(b),
                                          this->training() ? values_of<SoftmaxRow>(b.saved) : nullptr,
                                          this->output(b)});
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        const AttentionOperands operands{shape_, this->input(b), this->d_output(b),
                                         values_of<SoftmaxRow>(b.saved)};
        auto* taken = values_of<float>(b.scratch);
        each_row(stream, AttentionQueryGradient{operands, taken, this->d_input(b)});
        each_row(stream, AttentionKeyGradient{operands, taken, this->d_input(b)});
    }

  private:
    template <class Body>
    void each_row(Stream& stream, const Body& body) const {
        Launch::blocks(stream, shape_.rows(batch_), AttentionShape::threads, body);
    }

    AttentionShape shape_{};
    std::int64_t batch_;
};

template <class Launch>
class LinearKernels final : public OwnKernels<Launch, ColumnPlan> {
  public:
    LinearKernels(const layers::Linear& op, const NodeView& view, ColumnPlan plan)
        : OwnKernels<Launch, ColumnPlan>(view, std::move(plan)),
          shape_{view.rows(), view.width(), op.out_features},
          bias_(op.bias),
          relu_(op.activation == layers::Activation::relu) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        Launch::each(stream, shape_.rows * packs_of(shape_.out),
                     LinearForward{shape_, this->input(b), fp32_source(b.params[0]),
                                   bias_ ? fp32_source(b.params[1]) : Source{}, relu_, this->output(b)});
    }
    void backward_activation(Stream& stream, const KernelBuffers& b) override {
        if (relu_) this->undo_relu(stream, b);
    }
    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        Launch::each(
            stream, shape_.out * packs_of(shape_.in),
            LinearWeightGradient{shape_, this->input(b), this->d_output(b), {b.d_params[0], DType::f32}});
        if (!bias_) return;
        this->sum_columns(stream, this->plan().tiling, ColumnTerms{this->d_output(b)},
                          ScaledSums{{b.d_params[1], DType::f32}}, b.scratch);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        Launch::each(
            stream, shape_.rows * packs_of(shape_.in),
            LinearInputGradient{shape_, this->d_output(b), fp32_source(b.params[0]), this->d_input(b)});
    }

  private:
    LinearShape shape_;
    bool bias_;
    bool relu_;
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::CausalSelfAttention& op, const NodeView& view) {
    return std::make_unique<AttentionKernels<Launch>>(op, view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::Linear& op, const NodeView& view) {
    return std::make_unique<LinearKernels<Launch>>(op, view, plan_of(op, view));
}

}  // namespace trireme::cuda
