// Starts the bodies of kernels on a GPU: the launch policy of .cu files (nodes/own_kernels.hpp). Two kernels
// serve all of them: device_kernels.cuh.
//
// Launches are asynchronous; one that CUDA refuses is told at once.
#pragma once

#include <algorithm>

#include "runtime/device/cuda/check.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/kernels/cuda/device_kernels.cuh"

namespace trireme::cuda {

/// Blocks of a grid; what is beyond is reached by striding.
inline constexpr std::int64_t most_blocks = 1 << 20;

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
