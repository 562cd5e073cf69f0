// Our own kernels on a GPU, for every op but convolutions (runtime/kernels/rules/cuda_rules.hpp says what is
// taken). Asked after cuDNN and cuBLASLt. docs/kernels-cuda.md has the table of kernels.
//
// Invariants: a launch allocates nothing and does not wait; results are functions of the operands and the
// batch, bit for bit, on one kind of GPU: no kernel adds floats atomically, and no sum depends on the number
// of multiprocessors.
#pragma once

#include <memory>

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

[[nodiscard]] std::unique_ptr<KernelProvider> make_cuda_provider(DeviceModel device);

}  // namespace trireme
