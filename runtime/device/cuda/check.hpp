// Every call of the CUDA runtime is checked, and what failed is said in words: which action, CUDA's name of
// the error and its text.
#pragma once

#include <string_view>

#include <cuda_runtime_api.h>

namespace trireme::cuda {

/// Throws DeviceError when `status` is an error. `action` completes "the GPU failed while ...": "copying a
/// batch". No later call tells this error again.
void check(cudaError_t status, std::string_view action);

/// Call after a kernel's launch: a launch that was refused (its grid, its shared memory) is told here, and
/// what fails while the kernel runs is told by the next synchronisation.
void check_launch(std::string_view kernel);

}  // namespace trireme::cuda
