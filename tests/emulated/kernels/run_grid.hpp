// Runs the grid of a launch on the CPU. A thread of a block is a fiber of its own from one barrier to the
// next, and blocks, and threads between barriers, take turns in an order that differs from launch to launch:
// a barrier that is missing shows as a wrong value. Shared memory is filled with NaN before each block and
// ends in a guard. What the device leaves undefined (barriers that not all threads reach, shared memory
// overrun) ends the process with a line.
#pragma once

#include <functional>

#include "tests/emulated/kernels/kernel_table.hpp"

namespace trireme::emulated {

/// `thread` finds its place in threadIdx, blockIdx, blockDim and gridDim.
using Thread = std::function<void()>;

/// Of a kernel without barriers: its threads need no fibers.
void run_grid_without_barriers(const LaunchShape& shape, const Thread& thread);
void run_grid(const LaunchShape& shape, const Thread& thread);

}  // namespace trireme::emulated
