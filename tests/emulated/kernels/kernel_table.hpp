// The bodies of our kernels on the host, found by the names that nvcc gave their kernels. The library
// libtrireme_emulated_kernels.so has them; the emulated CUDA runtime opens it at the first launch.
#pragma once

#include <cstdint>
#include <functional>

namespace trireme::emulated {

/// How a kernel is started: blocks and threads a block along each axis, and the dynamic shared memory of a
/// block.
struct LaunchShape {
    std::int64_t grid[3];
    std::int64_t block[3];
    std::int64_t shared_bytes;
};

/// One launch, its arguments copied: may be run any number of times.
using Work = std::function<void()>;

/// `arguments`: the address of each, as CUDA passes them.
using BindKernel = Work (*)(const LaunchShape& shape, void** arguments);

}  // namespace trireme::emulated

/// Null where the name is of no kernel of ours. `device_name`: as the object file has it.
extern "C" trireme::emulated::BindKernel trireme_emulated_kernel(const char* device_name);
