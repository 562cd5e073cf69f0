#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/products.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::CausalSelfAttention&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Linear&, const NodeView&);

}  // namespace trireme::cuda
