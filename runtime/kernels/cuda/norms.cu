#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/norms.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::BatchNorm&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::LayerNorm&, const NodeView&);

}  // namespace trireme::cuda
