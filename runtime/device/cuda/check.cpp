#include "runtime/device/cuda/check.hpp"

#include <string>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::cuda {

void check(cudaError_t status, std::string_view action) {
    if (status == cudaSuccess) return;
    static_cast<void>(cudaGetLastError());  // told here, and not again as that of the next launch
    throw DeviceError(fmt::format("the GPU failed while {}: {} ({})", action, cudaGetErrorName(status),
                                  cudaGetErrorString(status)));
}

void check_launch(std::string_view kernel) {
    // The message is made only for an error: launches are many.
    if (const cudaError_t status = cudaGetLastError(); status != cudaSuccess)
        check(status, "launching " + std::string(kernel));
}

}  // namespace trireme::cuda
