// What ranks tell each other with the gradients of a step.
#pragma once

#include <cstdint>

namespace trireme {

/// Status words at the end of the last bucket, summed with it. Offsets from
/// GradBuckets::status_offset.
/// `stop`: ranks that were asked to save and end. `save`: ranks whose clock asks for a checkpoint.
enum class StatusWord : std::int64_t {
    loss_sum = 0,
    samples = 1,
    nonfinite = 2,
    stop = 3,
    save = 4,
    count = 5
};

}  // namespace trireme
