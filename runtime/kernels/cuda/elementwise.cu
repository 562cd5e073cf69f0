#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/elementwise.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::Relu&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Tanh&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Sigmoid&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Gelu&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Bias&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::PositionEmbedding&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Add&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Concat&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::Dropout&, const NodeView&);

}  // namespace trireme::cuda
