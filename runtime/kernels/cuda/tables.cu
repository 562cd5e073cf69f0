#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/tables.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::Embedding&, const NodeView&);

}  // namespace trireme::cuda
