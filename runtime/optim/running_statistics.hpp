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

#include <span>

namespace trireme {

/// `statistics`: [3, C], rows S0, S1, S2. `values`: N. `mean`, `variance`: [C], updated in place.
void update_running(std::span<const float> statistics, double values, double momentum, std::span<float> mean,
                    std::span<float> variance);

}  // namespace trireme
