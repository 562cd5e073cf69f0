// The mean over all positions of each sample and channel, in loops of our own: oneDNN's average pooling over
// a window of the whole image sums one channel after the other. Sums are fp32 over blocks of positions and
// fp64 between the blocks.
#include <algorithm>

#include "runtime/kernels/onednn/channel_loops.hpp"
#include "runtime/kernels/onednn/node_kernels.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {
namespace {

/// means[c] = mean of x[0 .. positions, c].
[[gnu::always_inline]] inline void mean_of_positions(const float* x, std::int64_t positions,
                                                     std::int64_t n_channels, float* means) {
    constexpr std::int64_t block = 64;
    const auto n = static_cast<double>(positions);
    channels::for_each_tile(
        n_channels, [&]<std::int64_t W>(std::int64_t c) __attribute__((always_inline)) {
            double total[W] = {};
            for (std::int64_t first = 0; first < positions; first += block) {
                const std::int64_t last = std::min(positions, first + block);
                float sum[W] = {};
                for (std::int64_t p = first; p < last; ++p) {
#pragma omp simd
                    for (std::int64_t i = 0; i < W; ++i) sum[i] += x[p * n_channels + c + i];
                }
                for (std::int64_t i = 0; i < W; ++i) total[i] += static_cast<double>(sum[i]);
            }
            for (std::int64_t i = 0; i < W; ++i) means[c + i] = static_cast<float>(total[i] / n);
        });
}

class GlobalAveragePoolKernels final : public OnednnKernels {
  public:
    explicit GlobalAveragePoolKernels(const NodeView& view)
        : OnednnKernels(view),
          batch_(view.request.batch),
          channels_(view.output[0]),
          positions_(view.input[0] * view.input[1]) {
        description_ = "loop:fp32";
        workers_ = workers_for(batch_ * positions_ * channels_, batch_);
    }

    void forward(Stream&, const KernelBuffers& b) override {
        const auto* x = floats(b.inputs[0]);
        auto* y = floats(b.output);
        cpu::parallel_ranges(workers_, batch_, [&](int, std::int64_t begin, std::int64_t end) {
            run_vectors(
                vectors_, [&]() __attribute__((always_inline)) {
                    for (std::int64_t n = begin; n < end; ++n) {
                        mean_of_positions(x + n * positions_ * channels_, positions_, channels_,
                                          y + n * channels_);
                    }
                });
        });
    }

    void backward_input(Stream&, const KernelBuffers& b) override {
        const auto* d = floats(b.d_output);
        auto* d_x = floats(b.d_inputs[0]);
        const float share = 1.0F / static_cast<float>(positions_);
        cpu::parallel_ranges(workers_, batch_, [&](int, std::int64_t begin, std::int64_t end) {
            for (std::int64_t n = begin; n < end; ++n) {
                const float* from = d + n * channels_;
                float* first = d_x + n * positions_ * channels_;
                for (std::int64_t c = 0; c < channels_; ++c) first[c] = from[c] * share;
                for (std::int64_t p = 1; p < positions_; ++p) {
                    std::copy(first, first + channels_, first + p * channels_);
                }
            }
        });
    }

  private:
    std::int64_t batch_;
    std::int64_t channels_;
    std::int64_t positions_;
    int workers_ = 1;
    VectorSet vectors_ = vector_set();
};

}  // namespace

std::unique_ptr<NodeKernels> make_kernels(const layers::GlobalAveragePool&, const NodeView& view) {
    return std::make_unique<GlobalAveragePoolKernels>(view);
}

}  // namespace trireme::onednn
