// Batch normalisation over the last axis, in loops of our own: its cost is memory traffic. The moments take
// one pass over memory instead of two, each block of rows being read a second time from the first cache, and
// without the cancellation of E[x^2] - E[x]^2. So training reads x twice and writes y once; backward reads x
// and d twice and writes once, which is the least that its formula allows.
//
//   d_x = weight rstd (d - sum(d)/n - xhat sum(d xhat)/n),  xhat = (x - mean) rstd
//
// (Ioffe and Szegedy, "Batch Normalization", 2015.)
#include <cmath>
#include <cstring>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/channel_loops.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {
namespace {

constexpr std::int64_t float_bytes = sizeof(float);
constexpr std::int64_t double_bytes = sizeof(double);

/// What forward leaves for backward, [channels] floats each. The gradient's sums are needed by both backward
/// passes: whichever runs first makes them and says so.
struct SavedChannels {
    float* mean;
    float* rstd;
    float* d_sum;   ///< sum of d
    float* dx_sum;  ///< sum of d xhat
    float* has_sums;

    SavedChannels(std::byte* memory, std::int64_t channels)
        : mean(reinterpret_cast<float*>(memory)),
          rstd(mean + channels),
          d_sum(rstd + channels),
          dx_sum(d_sum + channels),
          has_sums(dx_sum + channels) {}
    static Bytes size(std::int64_t channels) { return Bytes((4 * channels + 1) * float_bytes); }
};

class BatchNormKernels final : public OnednnKernels {
  public:
    BatchNormKernels(const layers::BatchNorm& op, const NodeView& view)
        : OnednnKernels(view),
          eps_(op.eps),
          rows_(view.rows()),
          channels_(view.input[view.input.rank() - 1]),
          stride_((channels_ + doubles_per_line - 1) / doubles_per_line * doubles_per_line) {
        workers_ = workers_for(rows_ * channels_, rows_);
        description_ = "loop:fp32";
        if (!training()) {
            needs_.forward_scratch = Bytes(channels_ * float_bytes);
            return;
        }
        needs_.backward_reads_input = true;
        needs_.saved = SavedChannels::size(channels_);
        needs_.forward_scratch = Bytes(2 * workers_ * stride_ * double_bytes);
        needs_.backward_scratch = needs_.forward_scratch;
    }

    void forward(Stream&, const KernelBuffers& b) override {
        if (training()) {
            ensure(b.statistics != nullptr, "a batch norm in training has memory for its statistics");
            const SavedChannels saved(b.saved, channels_);
            take_moments(b, saved);
            *saved.has_sums = 0;
            normalise(b, saved.mean, saved.rstd);
            return;
        }
        const auto* mean = floats(b.buffers[0]);
        const auto* variance = floats(b.buffers[1]);
        auto* rstd = floats(b.scratch);
        for (std::int64_t c = 0; c < channels_; ++c) {
            rstd[c] = static_cast<float>(1 / std::sqrt(static_cast<double>(variance[c]) + eps_));
        }
        normalise(b, mean, rstd);
    }

    void backward_weight(Stream&, const KernelBuffers& b) override {
        const SavedChannels saved(b.saved, channels_);
        take_gradient_sums(b, saved);
        std::memcpy(b.d_params[0], saved.dx_sum, static_cast<std::size_t>(channels_ * float_bytes));
        std::memcpy(b.d_params[1], saved.d_sum, static_cast<std::size_t>(channels_ * float_bytes));
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const SavedChannels saved(b.saved, channels_);
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
        const auto* x = floats(b.inputs[0]);
        const auto* d = floats(b.d_output);
        auto* d_x = floats(b.d_inputs[0]);
        const float* mean = saved.mean;
        for_each_row([=](const std::int64_t at, std::int64_t n_channels) __attribute__((always_inline)) {
#pragma omp simd
            for (std::int64_t c = 0; c < n_channels; ++c) {
                d_x[at + c] = scale[c] * (d[at + c] - base[c] - (x[at + c] - mean[c]) * slope[c]);
            }
        });
    }

  private:
    static constexpr std::int64_t doubles_per_line = 8;

    /// f(offset of the row, channels) for each row, on all workers.
    template <class F>
    void for_each_row(const F& f) const {
        cpu::parallel_ranges(workers_, rows_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t row = begin; row < end; ++row) f(row * channels_, channels_);
                });
        });
    }

    void normalise(const KernelBuffers& b, const float* mean, const float* rstd) const {
        const auto* x = floats(b.inputs[0]);
        const auto* weight = floats(b.params[0]);
        const auto* bias = floats(b.params[1]);
        auto* y = floats(b.output);
        for_each_row([=](const std::int64_t at, std::int64_t n_channels) __attribute__((always_inline)) {
#pragma omp simd
            for (std::int64_t c = 0; c < n_channels; ++c) {
                y[at + c] = (x[at + c] - mean[c]) * (rstd[c] * weight[c]) + bias[c];
            }
        });
    }

    /// Two [channels] vectors of doubles of a worker.
    [[nodiscard]] double* partial(const KernelBuffers& b, int worker, int which) const {
        return reinterpret_cast<double*>(b.scratch) + (2 * worker + which) * stride_;
    }

    /// Each worker's moments of its rows, merged in worker order; then what backward, and the running
    /// statistics, want of them.
    void take_moments(const KernelBuffers& b, const SavedChannels& saved) const {
        const auto* x = floats(b.inputs[0]);
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const channels::Moments moments{partial(b, worker, 0), partial(b, worker, 1)};
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    channels::moments_of_rows(x, channels_, begin, end, moments);
                });
        });
        const channels::Moments all{partial(b, 0, 0), partial(b, 0, 1)};
        for (int worker = 1; worker < workers_; ++worker) {
            const auto before = static_cast<double>(rows_ * worker / workers_);
            const auto count = static_cast<double>(rows_ * (worker + 1) / workers_) - before;
            all.merge(0, channels_, before, count, partial(b, worker, 0), partial(b, worker, 1));
        }
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

    void take_gradient_sums(const KernelBuffers& b, const SavedChannels& saved) const {
        if (*saved.has_sums != 0) return;
        const auto* x = floats(b.inputs[0]);
        const auto* d = floats(b.d_output);
        cpu::parallel_ranges(workers_, rows_, [&](int worker, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    channels::gradient_sums_of_rows(x, d, saved.mean, channels_, begin, end,
                                                    partial(b, worker, 0), partial(b, worker, 1));
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
    std::int64_t rows_;
    std::int64_t channels_;
    std::int64_t stride_;  ///< doubles (or floats) of scratch a vector over the channels takes
    int workers_ = 1;
    VectorSet vectors_ = vector_set();
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::BatchNorm& op, const NodeView& view) {
    return std::make_unique<BatchNormKernels>(op, view);
}

}  // namespace trireme::onednn
