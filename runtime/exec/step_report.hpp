// What one step did and where its time went.
#pragma once

#include <cstdint>

namespace trireme {

/// Seconds by purpose, each measured by itself.
struct StepTimes {
    double data_wait = 0;     ///< waiting for the batch
    double compute = 0;       ///< kernels and the update
    double exposed_comm = 0;  ///< waiting for sums that compute could not hide
    double total = 0;         ///< the whole step, the wait for its batch included
};

struct StepReport {
    double loss_sum = 0;       ///< over the samples of all ranks
    std::int64_t samples = 0;  ///< of all ranks
    StepTimes times;
    bool skipped = false;          ///< not finite, and thrown away: nothing has changed
    std::int64_t stop_wishes = 0;  ///< ranks that were asked to save and end
    [[nodiscard]] double loss() const { return samples > 0 ? loss_sum / static_cast<double>(samples) : 0; }
};

}  // namespace trireme
