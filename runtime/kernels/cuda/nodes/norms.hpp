// Nodes that normalise: batch norm with what is fused behind it, and layer norm.
#pragma once

#include <algorithm>

#include "runtime/core/error.hpp"
#include "runtime/kernels/cuda/bodies/batch_norm.hpp"
#include "runtime/kernels/cuda/bodies/layer_norm.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"
#include "runtime/kernels/cuda/nodes/take_moments.hpp"
#include "runtime/kernels/cuda/nodes/weight_order.hpp"

namespace trireme::cuda {

template <class Launch>
class BatchNormKernels final : public OwnKernels<Launch, BatchNormPlan> {
  public:
    BatchNormKernels(const layers::BatchNorm& op, const NodeView& view, BatchNormPlan plan)
        : OwnKernels<Launch, BatchNormPlan>(view, std::move(plan)), op_(op) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        Normalise rule{.x = this->input(b),
                       .residual = op_.residual ? this->input(b, 1) : Source{},
                       .weight = fp32_source(b.params[0]),
                       .bias = fp32_source(b.params[1]),
                       .mean = nullptr,
                       .inverse_deviation = nullptr,
                       .variance = nullptr,
                       .eps = op_.eps,
                       .relu = relu(),
                       .mask = {},
                       .y = this->output(b)};
        if (this->training()) {
            take_moments(stream, b);
            rule.mean = saved(b, this->plan().mean);
            rule.inverse_deviation = saved(b, this->plan().inverse_deviation);
            rule.mask = mask(b);
        } else {
            rule.mean = values_of<float>(b.buffers[0]);
            rule.variance = values_of<float>(b.buffers[1]);
        }
        this->rows(stream, tiling(), rule);
    }

    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        if (!has_sums(b)) {
            take_sums(stream, b, b.d_params[0], b.d_params[1]);
            return;
        }
        copy(stream, saved(b, this->plan().product), b.d_params[0]);
        copy(stream, saved(b, this->plan().sum), b.d_params[1]);
    }

    void backward_input(Stream& stream, const KernelBuffers& b) override {
        if (!has_sums(b)) take_sums(stream, b, nullptr, nullptr);
        this->rows(stream, tiling(),
                   NormInputGradient{.x = this->input(b),
                                     .d = this->d_output(b),
                                     .mask = mask(b),
                                     .weight = fp32_source(b.params[0]),
                                     .mean = saved(b, this->plan().mean),
                                     .inverse_deviation = saved(b, this->plan().inverse_deviation),
                                     .sum = saved(b, this->plan().sum),
                                     .product = saved(b, this->plan().product),
                                     .n_values = static_cast<float>(tiling().rows),
                                     .d_x = this->d_input(b),
                                     .d_residual = op_.residual ? this->d_input(b, 1) : Sink{}});
    }

  private:
    [[nodiscard]] const Tiling& tiling() const { return this->plan().tiling; }
    [[nodiscard]] bool relu() const { return op_.activation == layers::Activation::relu; }
    [[nodiscard]] static float* saved(const KernelBuffers& b, std::int64_t part) {
        return values_of<float>(b.saved, part);
    }
    [[nodiscard]] ReluMask mask(const KernelBuffers& b) const {
        if (!relu()) return {};
        return {values_of<std::uint8_t>(b.saved, this->plan().mask), this->plan().mask_row_bytes};
    }

    void take_moments(Stream& stream, const KernelBuffers& b) {
        ensure(b.statistics != nullptr, "a batch norm in training has memory for its statistics");
        cuda::take_moments<Launch>(stream, tiling(), this->input(b),
                                   {tiling().channels, op_.eps, saved(b, this->plan().mean),
                                    saved(b, this->plan().inverse_deviation), values_of<float>(b.statistics)},
                                   b.scratch);
        std::erase(summed_, b.saved);
    }

    /// Both backward passes want the sums; the first one that is launched after a forward makes them. Which
    /// launches have made them is known here and not in device memory, so the second pass costs nothing; a
    /// graph that is captured holds the launches in this order.
    [[nodiscard]] bool has_sums(const KernelBuffers& b) const {
        return std::find(summed_.begin(), summed_.end(), b.saved) != summed_.end();
    }
    void take_sums(Stream& stream, const KernelBuffers& b, std::byte* d_weight, std::byte* d_bias) {
        const float* rstd = saved(b, this->plan().inverse_deviation);
        this->sum_columns(stream, tiling(),
                          NormSums{this->input(b), this->d_output(b), mask(b), saved(b, this->plan().mean)},
                          KeepNormSums{rstd, saved(b, this->plan().sum), saved(b, this->plan().product),
                                       values_of<float>(d_weight), values_of<float>(d_bias)},
                          b.scratch);
        summed_.push_back(b.saved);
    }

    void copy(Stream& stream, const float* from, std::byte* to) const {
        const auto* memory = reinterpret_cast<const std::byte*>(from);
        convert<Launch>(stream, fp32_source(memory), {to, DType::f32}, tiling().channels);
    }

    layers::BatchNorm op_;
    std::vector<const std::byte*> summed_;  ///< `saved` memories that hold the sums of their gradient
};

template <class Launch>
class LayerNormKernels final : public OwnKernels<Launch, ColumnPlan> {
  public:
    LayerNormKernels(const layers::LayerNorm& op, const NodeView& view, ColumnPlan plan)
        : OwnKernels<Launch, ColumnPlan>(view, std::move(plan)), eps_(static_cast<float>(op.eps)) {}

    void forward(Stream& stream, const KernelBuffers& b) override {
        Launch::blocks(stream, tiling().rows, threads(),
                       LayerNormForward{
                           width(), this->input(b), fp32_source(b.params[0]), fp32_source(b.params[1]), eps_,
                           this->training() ? values_of<RowMoments>(b.saved) : nullptr, this->output(b)});
    }
    void backward_weight(Stream& stream, const KernelBuffers& b) override {
        this->sum_columns(stream, tiling(),
                          LayerNormSums{this->input(b), this->d_output(b), values_of<RowMoments>(b.saved)},
                          WriteBoth{values_of<float>(b.d_params[0]), values_of<float>(b.d_params[1])},
                          b.scratch);
    }
    void backward_input(Stream& stream, const KernelBuffers& b) override {
        Launch::blocks(
            stream, tiling().rows, threads(),
            LayerNormInputGradient{width(), this->input(b), this->d_output(b), fp32_source(b.params[0]),
                                   values_of<RowMoments>(b.saved), this->d_input(b)});
    }

  private:
    [[nodiscard]] const Tiling& tiling() const { return this->plan().tiling; }
    [[nodiscard]] std::int64_t width() const { return tiling().channels; }
    [[nodiscard]] int threads() const { return threads_for_row(width()); }

    float eps_;
};

template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::BatchNorm& op, const NodeView& view) {
    return std::make_unique<BatchNormKernels<Launch>>(op, view, plan_of(op, view));
}
template <class Launch>
std::unique_ptr<NodeKernels> make_own(const layers::LayerNorm& op, const NodeView& view) {
    return std::make_unique<LayerNormKernels<Launch>>(op, view, plan_of(op, view));
}

}  // namespace trireme::cuda
