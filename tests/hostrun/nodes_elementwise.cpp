#include "runtime/kernels/cuda/nodes/elementwise.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::cuda {

using Launch = hostrun::HostLaunch;
using Made = std::unique_ptr<NodeKernels>;

template Made make_own<Launch>(const layers::Relu&, const NodeView&);
template Made make_own<Launch>(const layers::Tanh&, const NodeView&);
template Made make_own<Launch>(const layers::Sigmoid&, const NodeView&);
template Made make_own<Launch>(const layers::Gelu&, const NodeView&);
template Made make_own<Launch>(const layers::Bias&, const NodeView&);
template Made make_own<Launch>(const layers::PositionEmbedding&, const NodeView&);
template Made make_own<Launch>(const layers::Add&, const NodeView&);
template Made make_own<Launch>(const layers::Concat&, const NodeView&);
template Made make_own<Launch>(const layers::Dropout&, const NodeView&);

}  // namespace trireme::cuda
