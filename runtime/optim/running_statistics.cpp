#include "runtime/optim/running_statistics.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"

namespace trireme {

void update_running(std::span<const float> statistics, double values, double momentum, std::span<float> mean,
                    std::span<float> variance) {
    const std::size_t channels = mean.size();
    ensure(variance.size() == channels && statistics.size() == 3 * channels && values > 0,
           "batch norm's statistics fit its running ones");
    const auto blended = [&](float& running, double batch) {
        running = static_cast<float>((1 - momentum) * static_cast<double>(running) + momentum * batch);
    };
    for (std::size_t c = 0; c < channels; ++c) {
        const double batch_mean = static_cast<double>(statistics[c]) / values;
        const double within = static_cast<double>(statistics[channels + c]) / values;
        const double between =
            static_cast<double>(statistics[2 * channels + c]) / values - batch_mean * batch_mean;
        blended(mean[c], batch_mean);
        blended(variance[c], within + std::max(0.0, between));
    }
}

}  // namespace trireme
