// The kernels that run bodies on a GPU. Two grid mappings serve all bodies:
//
//   each     one thread an index, in blocks of 256, striding over the grid
//   blocks   one block an index. Blocks of a warp lie four in a block of the grid, each with its own shared
//            memory, and their barriers are those of a warp
//
// Beside what nvcc has built in, nothing of CUDA is named here: tests/emulated runs these very kernels on the
// CPU, a block's threads each by itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/kernels/cuda/bodies/block.hpp"

namespace trireme::cuda {

inline constexpr int warp_threads = 32;
inline constexpr int threads_of_each = 256;
inline constexpr int warps_together = 4;

/// The block at hand: see bodies/block.hpp.
class DeviceBlock {
  public:
    __device__ explicit DeviceBlock(std::byte* shared) : shared_(shared) {}

    __device__ int threads() const { return static_cast<int>(blockDim.x); }
    template <class T>
    __device__ T* array(std::int64_t count) {
        std::byte* at = shared_ + used_;
        used_ = SharedBytes::next(used_, count * static_cast<std::int64_t>(sizeof(T)));
        return reinterpret_cast<T*>(at);
    }
    template <class F>
    __device__ void for_each_thread(const F& f) {
        f(static_cast<int>(threadIdx.x));
        if (blockDim.x == warp_threads) {
            __syncwarp();
        } else {
            __syncthreads();
        }
    }

  private:
    std::byte* shared_;
    std::int64_t used_ = 0;
};

template <class Body>
__global__ void __launch_bounds__(threads_of_each) each_kernel(std::int64_t count, Body body) {
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
         i += stride)
        body(i);
}

/// Threads of an index lie along x, the indices of one block of the grid along y. `shared_bytes`: of an
/// index.
template <class Body>
__global__ void block_kernel(std::int64_t count, std::int64_t shared_bytes, Body body) {
    extern __shared__ __align__(16) std::byte shared[];
    const std::int64_t stride = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
    for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < count;
         i += stride) {
        DeviceBlock block(shared + threadIdx.y * shared_bytes);
        body(block, i);
    }
}

}  // namespace trireme::cuda
