// Starts the bodies of kernels on a GPU: the launch policy of .cu files (nodes/own_kernels.hpp). Two grid
// mappings serve all of them:
//
//   each     one thread an index, in blocks of 256, striding over the grid
//   blocks   one block an index. Blocks of a warp lie four in a block of the grid, each with its own shared
//            memory, and their barriers are those of a warp
//
// Launches are asynchronous; one that CUDA refuses is told at once.
#pragma once

#include <algorithm>

#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/kernels/cuda/bodies/block.hpp"

namespace trireme::cuda {

inline constexpr int warp_threads = 32;
inline constexpr int threads_of_each = 256;
inline constexpr int warps_together = 4;
/// Blocks of a grid; what is beyond is reached by striding.
inline constexpr std::int64_t most_blocks = 1 << 20;

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

struct DeviceLaunch {
    template <class Body>
    static void each(Stream& stream, std::int64_t count, const Body& body) {
        if (count == 0) return;
        each_kernel<<<grid_of(count, threads_of_each), threads_of_each, 0, native(stream)>>>(count, body);
        check_launch("each");
    }

    template <class Body>
    static void blocks(Stream& stream, std::int64_t count, int threads, const Body& body) {
        if (count == 0) return;
        const int together = threads == warp_threads ? warps_together : 1;
        const std::int64_t shared_bytes = (body.shared_bytes(threads) + 15) / 16 * 16;
        const dim3 extents(static_cast<unsigned>(threads), static_cast<unsigned>(together));
        block_kernel<<<grid_of(count, together), extents, static_cast<std::size_t>(together * shared_bytes),
                       native(stream)>>>(count, shared_bytes, body);
        check_launch("blocks");
    }

  private:
    [[nodiscard]] static unsigned grid_of(std::int64_t count, std::int64_t each_block) {
        return static_cast<unsigned>(std::min(most_blocks, (count + each_block - 1) / each_block));
    }
};

}  // namespace trireme::cuda
