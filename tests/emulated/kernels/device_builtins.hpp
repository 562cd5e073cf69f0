// What nvcc has built in, for kernels that run on the CPU (runtime/kernels/cuda/device_kernels.cuh, which is
// to be included behind this).
#pragma once

#include <cstddef>

struct EmulatedExtents {
    unsigned x = 1;
    unsigned y = 1;
    unsigned z = 1;
};

// NOLINTBEGIN: the names are CUDA's.
extern EmulatedExtents threadIdx;
extern EmulatedExtents blockIdx;
extern EmulatedExtents blockDim;
extern EmulatedExtents gridDim;

void __syncthreads();
void __syncwarp();

#define __device__
#define __global__
#define __shared__
#define __launch_bounds__(threads)
#define __align__(bytes) __attribute__((aligned(bytes)))
// NOLINTEND
