#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/losses.hpp"

namespace trireme::cuda {

using Made = std::unique_ptr<NodeKernels>;

template Made make_own<DeviceLaunch>(const layers::SoftmaxCrossEntropy&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::BceWithLogits&, const NodeView&);
template Made make_own<DeviceLaunch>(const layers::MeanSquaredError&, const NodeView&);

}  // namespace trireme::cuda
