// Layer normalisation over the last axis, in loops of our own, because the weight's gradient and the input's
// are launches apart, which oneDNN's primitive does not offer. A row lies in the first cache while its mean,
// then its variance (two passes, no cancellation), then its output are made, so memory is passed over once.
//
//   d_x = rstd (g - mean(g) - xhat mean(g xhat)),  g = d weight,  xhat = (x - mean) rstd
//
// (Ba, Kiros and Hinton, "Layer Normalization", 2016.)
#include <cmath>

#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

/// What forward keeps of each row.
struct RowMoments {
    float mean = 0;
    float rstd = 0;
};

[[gnu::always_inline]] inline RowMoments moments_of(const float* x, std::int64_t n, float eps) {
    float sum = 0;
    const float start = x[0];  // deviations from it, so that a mean far from zero costs no digits
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) sum += x[i] - start;
    const float mean = start + sum / static_cast<float>(n);
    float squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < n; ++i) squares += (x[i] - mean) * (x[i] - mean);
    return {mean, 1.0F / std::sqrt(squares / static_cast<float>(n) + eps)};
}

[[gnu::always_inline]] inline void write_input_gradient(const float* x, const float* d, const float* weight,
                                                        RowMoments row, std::int64_t n, float* d_x) {
    float sum = 0;
    float product = 0;
#pragma omp simd reduction(+ : sum, product)
    for (std::int64_t i = 0; i < n; ++i) {
        const float g = d[i] * weight[i];
        sum += g;
        product += g * ((x[i] - row.mean) * row.rstd);
    }
    const float base = sum / static_cast<float>(n);
    const float slope = product / static_cast<float>(n) * row.rstd;
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) {
        d_x[i] = row.rstd * (d[i] * weight[i] - base - (x[i] - row.mean) * slope);
    }
}

class LayerNormKernels final : public OnednnKernels {
  public:
    LayerNormKernels(const layers::LayerNorm& op, const NodeView& view)
        : OnednnKernels(view),
          eps_(static_cast<float>(op.eps)),
          rows_(view.rows()),
          width_(view.input[view.input.rank() - 1]),
          stride_(padded_floats(width_)),
          input_(view.input_dtype()),
          output_(view.output_dtype()),
          workers_(workers_for(rows_ * width_, rows_)) {
        describe_loop(view);
        needs_.forward_scratch = vectors_bytes(rows_per_worker);
        needs_.forward_in_place = !training() && input_ == output_;
        if (!training()) return;
        needs_.backward_reads_input = true;
        needs_.saved = Bytes(rows_ * static_cast<std::int64_t>(sizeof(RowMoments)));
        needs_.backward_scratch = vectors_bytes(rows_per_worker + sums_per_worker);
        needs_.backward_in_place = 1;
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSource x_values(b.inputs[0], input_);
        const float* weight = floats(b.params[0]);
        const float* bias = floats(b.params[1]);
        const FloatSink y_values(b.output, output_);
        auto* moments = training() ? reinterpret_cast<RowMoments*>(b.saved) : nullptr;
        for_each_row(
            b, [&](std::int64_t row, const Rows& rows) __attribute__((always_inline)) {
                const std::int64_t at = row * width_;
                const float* x = x_values.read(at, width_, rows.first);
                float* y = y_values.open(at, rows.second);
                const RowMoments m = moments_of(x, width_, eps_);
                if (moments != nullptr) moments[row] = m;
#pragma omp simd
                for (std::int64_t i = 0; i < width_; ++i) {
                    y[i] = (x[i] - m.mean) * m.rstd * weight[i] + bias[i];
                }
                y_values.close(at, width_, y);
            });
    }

    void backward_weight(Stream&, const KernelBuffers& b) override {
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    sum_rows(b, begin, end, floats(b.scratch) + sums_per_worker * worker * stride_,
                             rows_of(b, worker, sums_per_worker * workers_));
                });
        });
        float* d_weight = floats(b.d_params[0]);
        float* d_bias = floats(b.d_params[1]);
        for (int worker = 0; worker < workers_; ++worker) {
            const float* sums = floats(b.scratch) + sums_per_worker * worker * stride_;
            for (std::int64_t i = 0; i < width_; ++i) {
                d_weight[i] = worker == 0 ? sums[i] : d_weight[i] + sums[i];
                d_bias[i] = worker == 0 ? sums[stride_ + i] : d_bias[i] + sums[stride_ + i];
            }
        }
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const FloatSource x_values(b.inputs[0], input_);
        const FloatSource d_values(b.d_output, output_);
        const float* weight = floats(b.params[0]);
        const auto* moments = reinterpret_cast<const RowMoments*>(b.saved);
        const FloatSink d_x_values(b.d_inputs[0], input_);
        for_each_row(
            b, [&](std::int64_t row, const Rows& rows) __attribute__((always_inline)) {
                const std::int64_t at = row * width_;
                float* d_x = d_x_values.open(at, rows.third);
                write_input_gradient(x_values.read(at, width_, rows.first),
                                     d_values.read(at, width_, rows.second), weight, moments[row], width_,
                                     d_x);
                d_x_values.close(at, width_, d_x);
            });
    }

  private:
    static constexpr std::int64_t rows_per_block = 64;
    /// Both gradients, each as a total and as the sum of the block of rows at hand: the error then grows with
    /// the number of blocks, not of rows.
    static constexpr std::int64_t sums_per_worker = 4;
    /// Rows as fp32, for tensors that are not.
    static constexpr std::int64_t rows_per_worker = 3;

    struct Rows {
        float* first;
        float* second;
        float* third;
    };

    [[nodiscard]] Bytes vectors_bytes(std::int64_t vectors_per_worker) const {
        return Bytes(vectors_per_worker * workers_ * stride_ * static_cast<std::int64_t>(sizeof(float)));
    }
    /// Behind the `before` vectors at the start of the scratch.
    [[nodiscard]] Rows rows_of(const KernelBuffers& b, int worker, std::int64_t before) const {
        float* first = floats(b.scratch) + (before + rows_per_worker * worker) * stride_;
        return {first, first + stride_, first + 2 * stride_};
    }
    /// f(row, rows as fp32) on all workers.
    template <class F>
    void for_each_row(const KernelBuffers& b, const F& f) const {
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Rows rows = rows_of(b, worker, 0);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; ++row) f(row, rows);
                });
        });
    }

    [[gnu::always_inline]] void sum_rows(const KernelBuffers& b, std::int64_t begin, std::int64_t end,
                                         float* totals, const Rows& rows) const {
        const FloatSource x_values(b.inputs[0], input_);
        const FloatSource d_values(b.d_output, output_);
        const auto* moments = reinterpret_cast<const RowMoments*>(b.saved);
        float* blocks = totals + 2 * stride_;
        std::fill_n(totals, 2 * stride_, 0.0F);
        for (std::int64_t first = begin; first < end; first += rows_per_block) {
            const std::int64_t last = std::min(end, first + rows_per_block);
            std::fill_n(blocks, 2 * stride_, 0.0F);
            for (std::int64_t row = first; row < last; ++row) {
                const RowMoments m = moments[row];
                const float* x = x_values.read(row * width_, width_, rows.first);
                const float* d = d_values.read(row * width_, width_, rows.second);
#pragma omp simd
                for (std::int64_t i = 0; i < width_; ++i) {
                    blocks[i] += d[i] * ((x[i] - m.mean) * m.rstd);
                    blocks[stride_ + i] += d[i];
                }
            }
#pragma omp simd
            for (std::int64_t i = 0; i < 2 * stride_; ++i) totals[i] += blocks[i];
        }
    }

    float eps_;
    std::int64_t rows_;
    std::int64_t width_;
    std::int64_t stride_;  ///< floats of scratch a vector over the last axis takes: whole cache lines
    DType input_;
    DType output_;
    int workers_;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::LayerNorm& op, const NodeView& view) {
    return std::make_unique<LayerNormKernels>(op, view);
}

}  // namespace trireme::onednn
