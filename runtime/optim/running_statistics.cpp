#include "runtime/optim/running_statistics.hpp"

#include "runtime/core/error.hpp"

namespace trireme {

void update_running(std::span<const float> statistics, double values, double momentum, std::span<float> mean,
                    std::span<float> variance) {
    const std::size_t channels = mean.size();
    ensure(variance.size() == channels && statistics.size() == 3 * channels && values > 0,
           "batch norm's statistics fit its running ones");
    for (std::size_t c = 0; c < channels; ++c) {
        update_running_channel(&statistics[c], static_cast<std::int64_t>(channels), values, momentum, mean[c],
                               variance[c]);
    }
}

}  // namespace trireme
