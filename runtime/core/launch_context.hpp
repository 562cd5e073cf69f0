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

    /// Where a launch is recorded once and replayed in each step (CUDA graphs), what changes from step to
    /// step lies in device memory; null: it is as the launch finds it on the host.
    const std::uint64_t* stream = nullptr;  ///< StreamKey::stream of a dropout's random numbers
    const float* loss_scale = nullptr;      ///< what the gradient of a loss is multiplied by; null: 1
};

}  // namespace trireme
