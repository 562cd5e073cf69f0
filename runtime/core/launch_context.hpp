// What the random numbers of a launch are keyed by. A value depends on what is computed (seed, step, op,
// place in the global batch), never on rank, worker or micro-batch, so cutting a batch otherwise changes
// nothing.
#pragma once

#include <cstdint>

namespace trireme {

struct LaunchContext {
    std::uint64_t seed = 0;
    std::int64_t step = 0;
    std::int64_t first_position = 0;  ///< place in the global batch of the launch's first sample
};

}  // namespace trireme
