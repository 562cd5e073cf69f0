// The mean over all positions of each sample and channel, in loops of our own: oneDNN's average pooling over
// a window of the whole image sums one channel after the other. Sums are fp32 over blocks of positions and
// fp64 between the blocks.
#include <algorithm>

#include "runtime/kernels/onednn/channel_loops.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"

namespace trireme::onednn {
namespace {

/// totals[c] += sum of x[0 .. positions, c], a block of positions.
[[gnu::always_inline]] inline void add_positions(const float* x, std::int64_t positions,
                                                 std::int64_t n_channels, double* totals) {
    channels::for_each_tile(
        n_channels, [&]<std::int64_t W>(std::int64_t c) __attribute__((always_inline)) {
            float sum[W] = {};
            for (std::int64_t p = 0; p < positions; ++p) {
#pragma omp simd
                for (std::int64_t i = 0; i < W; ++i) sum[i] += x[p * n_channels + c + i];
            }
#pragma omp simd
            for (std::int64_t i = 0; i < W; ++i) totals[c + i] += static_cast<double>(sum[i]);
        });
}

class GlobalAveragePoolKernels final : public OnednnKernels {
  public:
    explicit GlobalAveragePoolKernels(const NodeView& view)
        : OnednnKernels(view),
          batch_(view.request.batch),
          channels_(view.output[0]),
          stride_(padded_floats(channels_)),
          positions_(view.input[0] * view.input[1]),
          input_(view.input_dtype()),
          output_(view.output_dtype()) {
        describe_loop(view);
        workers_ = workers_for(batch_ * positions_ * channels_, batch_);
        // Of each worker: totals in fp64, a row of means, a block of positions.
        worker_bytes_ =
            stride_ * static_cast<std::int64_t>(sizeof(double) + sizeof(float) + block * sizeof(float));
        needs_.forward_scratch = Bytes(workers_ * worker_bytes_);
        if (training()) needs_.backward_scratch = needs_.forward_scratch;
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const FloatSource x(b.inputs[0], input_);
        const FloatSink y(b.output, output_);
        cpu::parallel_ranges(workers_, batch_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Room room = room_of(b, worker);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t n = begin; n < end; ++n) mean_of_sample(x, y, n, room);
                });
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const FloatSource d(b.d_output, output_);
        const FloatSink d_x(b.d_inputs[0], input_);
        const float share = 1.0F / static_cast<float>(positions_);
        cpu::parallel_ranges(workers_, batch_, [&](int worker, std::int64_t begin, std::int64_t end) {
            const Room room = room_of(b, worker);
            run_vectors(
                vectors(), [&]() __attribute__((always_inline)) {
                    for (std::int64_t n = begin; n < end; ++n) {
                        const float* from = d.read(n * channels_, channels_, room.row);
#pragma omp simd
                        for (std::int64_t c = 0; c < channels_; ++c) room.row[c] = from[c] * share;
                        for (std::int64_t p = 0; p < positions_; ++p) {
                            d_x.store((n * positions_ + p) * channels_, channels_, room.row);
                        }
                    }
                });
        });
    }

  private:
    static constexpr std::int64_t block = 64;  ///< positions whose sum is formed in fp32

    struct Room {
        double* totals;
        float* row;
        float* block;
    };
    [[nodiscard]] Room room_of(const KernelBuffers& b, int worker) const {
        auto* totals = reinterpret_cast<double*>(b.scratch + worker * worker_bytes_);
        auto* row = reinterpret_cast<float*>(totals + stride_);
        return {totals, row, row + stride_};
    }

    [[gnu::always_inline]] void mean_of_sample(const FloatSource& x, const FloatSink& y, std::int64_t n,
                                               const Room& room) const {
        std::fill_n(room.totals, channels_, 0.0);
        for (std::int64_t first = 0; first < positions_; first += block) {
            const std::int64_t count = std::min(block, positions_ - first);
            const std::int64_t at = (n * positions_ + first) * channels_;
            add_positions(x.read(at, count * channels_, room.block), count, channels_, room.totals);
        }
        float* means = y.open(n * channels_, room.row);
        for (std::int64_t c = 0; c < channels_; ++c) {
            means[c] = static_cast<float>(room.totals[c] / static_cast<double>(positions_));
        }
        y.close(n * channels_, channels_, means);
    }

    std::int64_t batch_;
    std::int64_t channels_;
    std::int64_t stride_;  ///< values that a vector over the channels takes
    std::int64_t positions_;
    DType input_;
    DType output_;
    std::int64_t worker_bytes_ = 0;
    int workers_ = 1;
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::GlobalAveragePool&, const NodeView& view) {
    return std::make_unique<GlobalAveragePoolKernels>(view);
}

}  // namespace trireme::onednn
