// What a training step launches beside the kernels of its nodes. All of it is asynchronous on the stream, and
// none of it needs the host to know how the step went: see StepState. Nothing is launched for empty ranges.
//
// Same operands: same bits, and those of the CPU where element arithmetic is concerned (Updater, InPlaceSum,
// update_running). A loss sum is formed in fp64 in another order than on the CPU.
#pragma once

#include <memory>

#include "runtime/device/device.hpp"
#include "runtime/exec/step_kernels.hpp"
#include "runtime/kernels/cuda/bodies/update.hpp"

namespace trireme::cuda {

/// Device memory of an update beside its arenas.
struct UpdateMemory {
    std::byte* tables = nullptr;         ///< UpdatePlan::memory bytes that begin with the plan's image
    const StepOrders* orders = nullptr;  ///< written by the host before the step
    const float* status = nullptr;       ///< the summed status words
    StepState* state = nullptr;
};

/// What the executor does with a step: StepLaunches behind its interface.
[[nodiscard]] std::unique_ptr<StepKernels> make_step_kernels(const StepParts& parts);

}  // namespace trireme::cuda
