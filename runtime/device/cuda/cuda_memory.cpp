#include "runtime/device/cuda/cuda_memory.hpp"

#include <algorithm>
#include <cstring>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda_choice.hpp"

namespace trireme {
namespace {

/// An empty allocation has an address too.
std::size_t allocated_size(Bytes size) {
    return static_cast<std::size_t>(std::max<std::int64_t>(size.value, 1));
}

}  // namespace

std::byte* CudaMemory::allocate(Bytes size) {
    cuda::check(cudaSetDevice(device_), "choosing a device");
    void* memory = nullptr;
    const cudaError_t status = cudaMalloc(&memory, allocated_size(size));
    if (status == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError());  // the error is told here, and shall not be told again
        std::size_t free = 0;
        std::size_t total = 0;
        cuda::check(cudaMemGetInfo(&free, &total), "asking for the free memory");
        throw DeviceError(cuda::out_of_memory(name_, size, Bytes(static_cast<std::int64_t>(free)),
                                              Bytes(static_cast<std::int64_t>(total)), planned_));
    }
    cuda::check(status, fmt::format("allocating {}", human_bytes(size)));
    cuda::check(cudaMemset(memory, 0, allocated_size(size)), "zeroing new memory");
    // Streams do not wait for the default stream, on which this ran.
    cuda::check(cudaStreamSynchronize(nullptr), "zeroing new memory");
    return static_cast<std::byte*>(memory);
}

void CudaMemory::release(std::byte* memory, Bytes) noexcept {
    static_cast<void>(cudaSetDevice(device_));
    static_cast<void>(cudaFree(memory));
}

std::byte* PinnedMemory::allocate(Bytes size) {
    void* memory = nullptr;
    const cudaError_t status = cudaHostAlloc(&memory, allocated_size(size), cudaHostAllocPortable);
    if (status == cudaErrorMemoryAllocation) {
        static_cast<void>(cudaGetLastError());
        throw DeviceError(
            fmt::format("the host has no {} of memory to lock for copies to the GPU: "
                        "ulimit -l and the memory limit of the job bound it",
                        human_bytes(size)));
    }
    cuda::check(status, fmt::format("locking {} of host memory", human_bytes(size)));
    std::memset(memory, 0, allocated_size(size));
    return static_cast<std::byte*>(memory);
}

void PinnedMemory::release(std::byte* memory, Bytes) noexcept { static_cast<void>(cudaFreeHost(memory)); }

}  // namespace trireme
