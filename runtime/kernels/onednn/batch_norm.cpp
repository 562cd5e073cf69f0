// Batch normalisation over the last axis, with what a rewrite has fused behind it: the addition of a residual
// and a relu. Loops of our own, because the cost is memory traffic:
//
//                               reads                            writes
//     forward   moments         x
//               normalise       x (residual)                     y (mask)
//     backward  sums            x, d (mask)
//               input gradient  x, d (mask)                      d_x (d_residual)
//
// A block of rows is read from memory once a pass, however often it is used; it lies in the first caches. The
// moments are taken around each block's own mean, without the cancellation of E[x^2] - E[x]^2. The mask of
// the relu is one bit a value, so neither its output nor a masked gradient is kept or read again.
//
//   d_x = weight rstd (d - sum(d)/n - xhat sum(d xhat)/n),  xhat = (x - mean) rstd
//
// (Ioffe and Szegedy, "Batch Normalization", 2015.)
#include <cmath>
#include <cstring>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/channel_loops.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/relu_mask.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t float_bytes = sizeof(float);
constexpr std::int64_t double_bytes = sizeof(double);

/// What forward leaves for backward: [channels] floats each, then the mask of the relu. The gradient's sums
/// are needed by both backward passes: whichever runs first makes them and says so.
struct Saved {
    float* mean;
    float* rstd;
    float* d_sum;   ///< sum of d
    float* dx_sum;  ///< sum of d xhat
    float* has_sums;
    std::uint32_t* mask;

    Saved(std::byte* memory, std::int64_t channels)
        : mean(reinterpret_cast<float*>(memory)),
          rstd(mean + channels),
          d_sum(rstd + channels),
          dx_sum(d_sum + channels),
          has_sums(dx_sum + channels),
          mask(reinterpret_cast<std::uint32_t*>(has_sums + 1)) {}
    static Bytes size(std::int64_t channels, std::int64_t mask_words) {
        return Bytes((4 * channels + 1 + mask_words) * float_bytes);
    }
};

class BatchNormKernels final : public OnednnKernels {
  public:
    BatchNormKernels(const layers::BatchNorm& op, const NodeView& view)
        : OnednnKernels(view),
          eps_(op.eps),
          relu_(op.activation == layers::Activation::relu),
          residual_(op.residual),
          input_(view.input_dtype()),
          residual_type_(op.residual ? view.input_dtype(1) : DType::f32),
          output_(view.output_dtype()),
          rows_(view.rows()),
          channels_(view.input[view.input.rank() - 1]),
          stride_((channels_ + doubles_per_line - 1) / doubles_per_line * doubles_per_line),
          block_(channels::rows_per_block(channels_)) {
        workers_ = workers_for(rows_ * channels_, rows_);
        describe_loop(view);
        const bool buffered = relu_ || input_ != DType::f32 || output_ != DType::f32;
        buffer_floats_ = buffered || residual_type_ != DType::f32 ? block_ * stride_ : 0;
        needs_.forward_scratch =
            Bytes(workers_ * (2 * stride_ * double_bytes + buffer_count * buffer_floats_ * float_bytes));
        needs_.forward_in_place = !training() && input_ == output_;
        if (!training()) return;
        needs_.backward_scratch = needs_.forward_scratch;
        needs_.backward_reads_input = true;
        needs_.backward_skips_inputs = residual_ ? 2 : 0;
        needs_.saved = Saved::size(channels_, relu_ ? rows_ * relu_mask::words_of_row(channels_) : 0);
        needs_.backward_in_place = residual_ ? 3 : 1;
    }

    void forward(Stream&, const KernelBuffers& b) override {
        if (training()) {
            ensure(b.statistics != nullptr, "a batch norm in training has memory for its statistics");
            const Saved saved(b.saved, channels_);
            take_moments(b, saved);
            *saved.has_sums = 0;
            normalise(b, saved.mean, saved.rstd, relu_ ? saved.mask : nullptr);
            return;
        }
        const auto* mean = floats(b.buffers[0]);
        const auto* variance = floats(b.buffers[1]);
        auto* rstd = floats(b.scratch);
        for (std::int64_t c = 0; c < channels_; ++c) {
            rstd[c] = static_cast<float>(1 / std::sqrt(static_cast<double>(variance[c]) + eps_));
        }
        normalise(b, mean, rstd, nullptr);
    }

    void backward_weight(Stream&, const KernelBuffers& b) override {
        const Saved saved(b.saved, channels_);
        take_gradient_sums(b, saved);
        std::memcpy(b.d_params[0], saved.dx_sum, static_cast<std::size_t>(channels_ * float_bytes));
        std::memcpy(b.d_params[1], saved.d_sum, static_cast<std::size_t>(channels_ * float_bytes));
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const Saved saved(b.saved, channels_);
        take_gradient_sums(b, saved);
        // d_x = scale (d - base - (x - mean) slope), in three vectors over the channels.
        auto* scale = floats(b.scratch);
        float* base = scale + stride_;
        float* slope = base + stride_;
        const auto* weight = floats(b.params[0]);
        const auto n = static_cast<float>(rows_);
        for (std::int64_t c = 0; c < channels_; ++c) {
            scale[c] = weight[c] * saved.rstd[c];
            base[c] = saved.d_sum[c] / n;
            slope[c] = saved.dx_sum[c] / n * saved.rstd[c];
        }
        std::byte* d_residual = residual_ ? b.d_inputs[1] : nullptr;
        const FloatSource x_values(b.inputs[0], input_);
        const FloatSink d_x_values(b.d_inputs[0], input_);
        const bool wants_d_x = b.d_inputs[0] != nullptr;
        const float* mean = saved.mean;
        for_each_block(
            b, [&](const Buffers& buffers, std::int64_t at,
                   std::int64_t rows) __attribute__((always_inline)) {
                const std::int64_t values = rows * channels_;
                const float* d = read_gradient(b, saved, buffers, at, rows);
                // First of all: d_x may lie where d does.
                if (d_residual != nullptr) {
                    FloatSink(d_residual, residual_type_).store(at, values, d);
                }
                if (!wants_d_x) return;
                const float* x = x_values.read(at, values, buffers.first);
                float* d_x = d_x_values.open(at, buffers.third);
                for (std::int64_t row = 0; row < values; row += channels_) {
#pragma omp simd
                    for (std::int64_t c = 0; c < channels_; ++c) {
                        d_x[row + c] = scale[c] * (d[row + c] - base[c] - (x[row + c] - mean[c]) * slope[c]);
                    }
                }
                d_x_values.close(at, values, d_x);
            });
    }

  private:
    static constexpr std::int64_t doubles_per_line = 8;
    static constexpr std::int64_t buffer_count = 3;

    /// Room for blocks of rows as fp32, of one worker.
    struct Buffers {
        float* first;
        float* second;
        float* third;
    };

    [[nodiscard]] std::int64_t mask_words() const { return relu_mask::words_of_row(channels_); }

    /// f(buffers, offset of the block, rows) for blocks of rows, on all workers.
    template <class F>
    void for_each_block(const KernelBuffers& b, const F& f) const {
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Buffers mine = buffers_of(b, worker);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; row += block_) {
                        f(mine, row * channels_, std::min(block_, end - row));
                    }
                });
        });
    }

    /// Two [channels] vectors of doubles of a worker.
    [[nodiscard]] double* partial(const KernelBuffers& b, int worker, int which) const {
        return reinterpret_cast<double*>(b.scratch) + (2 * worker + which) * stride_;
    }
    [[nodiscard]] Buffers buffers_of(const KernelBuffers& b, int worker) const {
        float* first =
            reinterpret_cast<float*>(partial(b, workers_, 0)) + worker * buffer_count * buffer_floats_;
        return {first, first + buffer_floats_, first + 2 * buffer_floats_};
    }

    /// The gradient of a block of rows behind the relu's mask.
    [[gnu::always_inline]] const float* read_gradient(const KernelBuffers& b, const Saved& saved,
                                                      const Buffers& mine, std::int64_t at,
                                                      std::int64_t rows) const {
        const float* d = FloatSource(b.d_output, output_).read(at, rows * channels_, mine.second);
        if (!relu_) return d;
        const std::uint32_t* mask = saved.mask + at / channels_ * mask_words();
        for (std::int64_t r = 0; r < rows; ++r) {
            relu_mask::apply_to_row(d + r * channels_, channels_, mask + r * mask_words(),
                                    mine.second + r * channels_);
        }
        return mine.second;
    }

    /// y = (x - mean) (rstd weight) + bias (+ residual), clipped where there is a relu; `mask`: null where it
    /// is not kept.
    void normalise(const KernelBuffers& b, const float* mean, const float* rstd, std::uint32_t* mask) const {
        const auto* weight = floats(b.params[0]);
        const auto* bias = floats(b.params[1]);
        const FloatSource x_values(b.inputs[0], input_);
        const FloatSink y_values(b.output, output_);
        for_each_block(
            b, [&](const Buffers& mine, std::int64_t at, std::int64_t rows) __attribute__((always_inline)) {
                const std::int64_t values = rows * channels_;
                const float* x = x_values.read(at, values, mine.first);
                float* y = y_values.open(at, mine.third);
                const float* r = residual_
                                     ? FloatSource(b.inputs[1], residual_type_).read(at, values, mine.second)
                                     : nullptr;
                for (std::int64_t row = 0; row < values; row += channels_) {
                    normalise_row(x + row, mean, rstd, weight, bias, r == nullptr ? nullptr : r + row,
                                  y + row);
                    if (!relu_) continue;
                    std::uint32_t* words =
                        mask == nullptr ? nullptr : mask + (at + row) / channels_ * mask_words();
                    clip_row(y + row, words);
                }
                y_values.close(at, values, y);
            });
    }

    [[gnu::always_inline]] void normalise_row(const float* x, const float* mean, const float* rstd,
                                              const float* weight, const float* bias, const float* residual,
                                              float* y) const {
        if (residual == nullptr) {
#pragma omp simd
            for (std::int64_t c = 0; c < channels_; ++c) {
                y[c] = (x[c] - mean[c]) * (rstd[c] * weight[c]) + bias[c];
            }
            return;
        }
#pragma omp simd
        for (std::int64_t c = 0; c < channels_; ++c) {
            y[c] = (x[c] - mean[c]) * (rstd[c] * weight[c]) + bias[c] + residual[c];
        }
    }

    [[gnu::always_inline]] void clip_row(float* y, std::uint32_t* mask) const {
        if (mask != nullptr) {
            relu_mask::clip_row(y, channels_, mask);
            return;
        }
#pragma omp simd
        for (std::int64_t c = 0; c < channels_; ++c) y[c] = y[c] < 0 ? 0.0F : y[c];
    }

    /// Each worker's moments of its rows, merged in worker order; then what backward, and the running
    /// statistics, want of them.
    void take_moments(const KernelBuffers& b, const Saved& saved) const {
        const FloatSource x_values(b.inputs[0], input_);
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const channels::Moments moments{partial(b, worker, 0), partial(b, worker, 1)};
            const Buffers mine = buffers_of(b, worker);
            std::fill_n(moments.mean, channels_, 0.0);
            std::fill_n(moments.squares, channels_, 0.0);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; row += block_) {
                        const std::int64_t rows = std::min(block_, end - row);
                        const float* x = x_values.read(row * channels_, rows * channels_, mine.first);
                        channels::moments_of_block(x, channels_, rows, row - begin, moments);
                    }
                });
        });
        const channels::Moments all{partial(b, 0, 0), partial(b, 0, 1)};
        for (int worker = 1; worker < workers_; ++worker) {
            const auto before = static_cast<double>(rows_ * worker / workers_);
            const auto count = static_cast<double>(rows_ * (worker + 1) / workers_) - before;
            all.merge(0, channels_, before, count, partial(b, worker, 0), partial(b, worker, 1));
        }
        write_statistics(b, saved, all);
    }

    void write_statistics(const KernelBuffers& b, const Saved& saved, const channels::Moments& all) const {
        auto* statistics = floats(b.statistics);
        const auto n = static_cast<double>(rows_);
        const double correction = rows_ > 1 ? n / (n - 1) : 1;
        for (std::int64_t c = 0; c < channels_; ++c) {
            const double mean = all.mean[c];
            const double squares = all.squares[c];
            saved.mean[c] = static_cast<float>(mean);
            saved.rstd[c] = static_cast<float>(1 / std::sqrt(squares / n + eps_));
            statistics[c] = static_cast<float>(n * mean);
            statistics[channels_ + c] = static_cast<float>(squares * correction);
            statistics[2 * channels_ + c] = static_cast<float>(n * mean * mean);
        }
    }

    void take_gradient_sums(const KernelBuffers& b, const Saved& saved) const {
        if (*saved.has_sums != 0) return;
        const FloatSource x_values(b.inputs[0], input_);
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            double* sums = partial(b, worker, 0);
            double* products = partial(b, worker, 1);
            const Buffers mine = buffers_of(b, worker);
            std::fill_n(sums, channels_, 0.0);
            std::fill_n(products, channels_, 0.0);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; row += block_) {
                        const std::int64_t rows = std::min(block_, end - row);
                        const std::int64_t at = row * channels_;
                        const float* x = x_values.read(at, rows * channels_, mine.first);
                        const float* d = read_gradient(b, saved, mine, at, rows);
                        channels::gradient_sums_of_block(x, d, saved.mean, channels_, rows, sums, products);
                    }
                });
        });
        for (std::int64_t c = 0; c < channels_; ++c) {
            double sum = 0;
            double product = 0;
            for (int worker = 0; worker < workers_; ++worker) {
                sum += partial(b, worker, 0)[c];
                product += partial(b, worker, 1)[c];
            }
            saved.d_sum[c] = static_cast<float>(sum);
            saved.dx_sum[c] = static_cast<float>(product * static_cast<double>(saved.rstd[c]));
        }
        *saved.has_sums = 1;
    }

    double eps_;
    bool relu_;
    bool residual_;
    DType input_;
    DType residual_type_;
    DType output_;
    std::int64_t rows_;
    std::int64_t channels_;
    std::int64_t stride_;  ///< doubles (or floats) of scratch a vector over the channels takes
    std::int64_t block_;   ///< rows
    std::int64_t buffer_floats_ = 0;
    int workers_ = 1;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::BatchNorm& op, const NodeView& view) {
    return std::make_unique<BatchNormKernels>(op, view);
}

}  // namespace trireme::onednn
