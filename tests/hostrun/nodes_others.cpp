#include "runtime/kernels/cuda/nodes/losses.hpp"
#include "runtime/kernels/cuda/nodes/norms.hpp"
#include "runtime/kernels/cuda/nodes/pools.hpp"
#include "runtime/kernels/cuda/nodes/products.hpp"
#include "runtime/kernels/cuda/nodes/tables.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::cuda {

using Launch = hostrun::HostLaunch;
using Made = std::unique_ptr<NodeKernels>;

template Made make_own<Launch>(const layers::BatchNorm&, const NodeView&);
template Made make_own<Launch>(const layers::LayerNorm&, const NodeView&);
template Made make_own<Launch>(const layers::Pool2d&, const NodeView&);
template Made make_own<Launch>(const layers::GlobalAveragePool&, const NodeView&);
template Made make_own<Launch>(const layers::SoftmaxCrossEntropy&, const NodeView&);
template Made make_own<Launch>(const layers::BceWithLogits&, const NodeView&);
template Made make_own<Launch>(const layers::MeanSquaredError&, const NodeView&);
template Made make_own<Launch>(const layers::Embedding&, const NodeView&);
template Made make_own<Launch>(const layers::CausalSelfAttention&, const NodeView&);
template Made make_own<Launch>(const layers::Linear&, const NodeView&);

}  // namespace trireme::cuda
