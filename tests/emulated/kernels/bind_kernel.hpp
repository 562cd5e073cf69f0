// A kernel of ours with its body, bound to the arguments of a launch. The table of all of them is generated
// from the symbols of the CUDA build (make_kernel_table.py).
#pragma once

#include "tests/emulated/kernels/device_builtins.hpp"
// Behind the builtins.
#include "runtime/kernels/cuda/bodies/attention.hpp"
#include "runtime/kernels/cuda/bodies/batch_norm.hpp"
#include "runtime/kernels/cuda/bodies/column_sums.hpp"
#include "runtime/kernels/cuda/bodies/dropout.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/cuda/bodies/embedding.hpp"
#include "runtime/kernels/cuda/bodies/layer_norm.hpp"
#include "runtime/kernels/cuda/bodies/linear.hpp"
#include "runtime/kernels/cuda/bodies/losses.hpp"
#include "runtime/kernels/cuda/bodies/pool.hpp"
#include "runtime/kernels/cuda/bodies/product_epilogues.hpp"
#include "runtime/kernels/cuda/bodies/update.hpp"
#include "runtime/kernels/cuda/device_kernels.cuh"
#include "tests/emulated/kernels/kernel_table.hpp"
#include "tests/emulated/kernels/run_grid.hpp"

namespace trireme::emulated {

struct NamedKernel {
    const char* name;
    BindKernel bind;
};

template <class T>
[[nodiscard]] T argument(void** arguments, int i) {
    return *static_cast<const T*>(arguments[i]);
}

template <class Body>
Work bind_each(const LaunchShape& shape, void** arguments) {
    return [shape, count = argument<std::int64_t>(arguments, 0), body = argument<Body>(arguments, 1)] {
        run_grid_without_barriers(shape, [&] { cuda::each_kernel<Body>(count, body); });
    };
}

template <class Body>
Work bind_block(const LaunchShape& shape, void** arguments) {
    return [shape, count = argument<std::int64_t>(arguments, 0),
            shared_bytes = argument<std::int64_t>(arguments, 1), body = argument<Body>(arguments, 2)] {
        run_grid(shape, [&] { cuda::block_kernel<Body>(count, shared_bytes, body); });
    };
}

/// Ends with a null name.
extern const NamedKernel named_kernels[];

}  // namespace trireme::emulated
