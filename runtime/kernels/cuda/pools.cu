#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/pools.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::Pool2d&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::GlobalAveragePool&, const NodeView&);

}  // namespace trireme::cuda
