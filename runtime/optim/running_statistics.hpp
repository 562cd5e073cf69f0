// Running statistics of batch norm, once a step, from sums over all leaves, micro-batches and ranks. A leaf
// of n values a channel adds n mean, n var (unbiased: times n / (n - 1), but 1 for one value) and n mean^2.
// With N values in all:
//
//     mean = S0 / N
//     var  = S1 / N + (S2 / N - mean^2)          mean of variances plus variance of means
//     running = (1 - momentum) running + momentum batch
//
// In fp64, rounded once. The variance of means is a difference of rounded sums, and is taken as 0 where that
// comes out below 0.
#pragma once

#include <cstdint>
#include <span>

namespace trireme {

/// Where the running statistics of one batch norm lie: offsets in elements. A node may have several.
struct RunningNorm {
    std::int64_t statistics = 0;  ///< in the gradients: [3, channels]
    std::int64_t mean = 0;        ///< in the buffers
    std::int64_t variance = 0;
    std::int64_t channels = 0;
    std::int64_t positions = 0;  ///< values a sample gives a channel
    double momentum = 0;
};

/// One channel: `sums` holds S0, S1 and S2, `stride` apart. The same arithmetic on CPU and GPU.
constexpr void update_running_channel(const float* sums, std::int64_t stride, double values, double momentum,
                                      float& mean, float& variance) {
    const double batch_mean = static_cast<double>(sums[0]) / values;
    const double within = static_cast<double>(sums[stride]) / values;
    const double between = static_cast<double>(sums[2 * stride]) / values - batch_mean * batch_mean;
    const double batch_variance = within + (between > 0 ? between : 0);
    mean = static_cast<float>((1 - momentum) * static_cast<double>(mean) + momentum * batch_mean);
    variance = static_cast<float>((1 - momentum) * static_cast<double>(variance) + momentum * batch_variance);
}

/// `statistics`: [3, C], rows S0, S1, S2. `values`: N. `mean`, `variance`: [C], updated in place.
void update_running(std::span<const float> statistics, double values, double momentum, std::span<float> mean,
                    std::span<float> variance);

}  // namespace trireme
