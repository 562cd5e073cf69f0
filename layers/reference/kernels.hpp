// The reference's op families, as overloads over the closed variant; only layers/reference includes this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "layers/ops/rules.hpp"
#include "layers/reference/reference.hpp"

namespace trireme::layers::reference {

/// Shapes of one node, per sample, and the number of samples.
struct Extents {
    const std::vector<Shape>& inputs;
    const Shape& output;
    std::int64_t batch = 0;
};

void run(const Conv2d& op, const Extents& extents, const ForwardIo& io);
void run(const Linear& op, const Extents& extents, const ForwardIo& io);
void run(const Bias& op, const Extents& extents, const ForwardIo& io);
void run(const Relu& op, const Extents& extents, const ForwardIo& io);
void run(const Tanh& op, const Extents& extents, const ForwardIo& io);
void run(const Sigmoid& op, const Extents& extents, const ForwardIo& io);
void run(const Pool2d& op, const Extents& extents, const ForwardIo& io);
void run(const Flatten& op, const Extents& extents, const ForwardIo& io);
void run(const SoftmaxCrossEntropy& op, const Extents& extents, const ForwardIo& io);
void run(const BatchNorm& op, const Extents& extents, const ForwardIo& io);
void run(const Dropout& op, const Extents& extents, const ForwardIo& io);
void run(const Add& op, const Extents& extents, const ForwardIo& io);
void run(const Concat& op, const Extents& extents, const ForwardIo& io);
void run(const GlobalAveragePool& op, const Extents& extents, const ForwardIo& io);
void run(const Gelu& op, const Extents& extents, const ForwardIo& io);
void run(const LayerNorm& op, const Extents& extents, const ForwardIo& io);
void run(const BceWithLogits& op, const Extents& extents, const ForwardIo& io);
void run(const MeanSquaredError& op, const Extents& extents, const ForwardIo& io);
void run(const Embedding& op, const Extents& extents, const ForwardIo& io);
void run(const PositionEmbedding& op, const Extents& extents, const ForwardIo& io);
void run(const CausalSelfAttention& op, const Extents& extents, const ForwardIo& io);
void run(const FeedForward& op, const Extents& extents, const ForwardIo& io);
void run(const ConvNormChain& op, const Extents& extents, const ForwardIo& io);

void run_back(const Conv2d& op, const Extents& extents, const BackwardIo& io);
void run_back(const Linear& op, const Extents& extents, const BackwardIo& io);
void run_back(const Bias& op, const Extents& extents, const BackwardIo& io);
void run_back(const Relu& op, const Extents& extents, const BackwardIo& io);
void run_back(const Tanh& op, const Extents& extents, const BackwardIo& io);
void run_back(const Sigmoid& op, const Extents& extents, const BackwardIo& io);
void run_back(const Pool2d& op, const Extents& extents, const BackwardIo& io);
void run_back(const Flatten& op, const Extents& extents, const BackwardIo& io);
void run_back(const SoftmaxCrossEntropy& op, const Extents& extents, const BackwardIo& io);
void run_back(const BatchNorm& op, const Extents& extents, const BackwardIo& io);
void run_back(const Dropout& op, const Extents& extents, const BackwardIo& io);
void run_back(const Add& op, const Extents& extents, const BackwardIo& io);
void run_back(const Concat& op, const Extents& extents, const BackwardIo& io);
void run_back(const GlobalAveragePool& op, const Extents& extents, const BackwardIo& io);
void run_back(const Gelu& op, const Extents& extents, const BackwardIo& io);
void run_back(const LayerNorm& op, const Extents& extents, const BackwardIo& io);
void run_back(const BceWithLogits& op, const Extents& extents, const BackwardIo& io);
void run_back(const MeanSquaredError& op, const Extents& extents, const BackwardIo& io);
void run_back(const Embedding& op, const Extents& extents, const BackwardIo& io);
void run_back(const PositionEmbedding& op, const Extents& extents, const BackwardIo& io);
void run_back(const CausalSelfAttention& op, const Extents& extents, const BackwardIo& io);
void run_back(const FeedForward& op, const Extents& extents, const BackwardIo& io);
void run_back(const ConvNormChain& op, const Extents& extents, const BackwardIo& io);

/// Gradient `index` of a list, or an empty span where it is not wanted.
[[nodiscard]] inline std::span<double> wanted(const std::vector<std::span<double>>& gradients,
                                              std::size_t index) {
    return index < gradients.size() ? gradients[index] : std::span<double>{};
}

/// The derivative of the summed objective by the loss of sample n.
[[nodiscard]] inline double loss_gradient(const BackwardIo& io, std::size_t n) {
    return io.d_output.empty() ? 1.0 : io.d_output[n];
}
[[nodiscard]] inline std::size_t last_extent(const Shape& shape) {
    return static_cast<std::size_t>(shape[shape.rank() - 1]);
}

/// Writes the bias in front of the sums and applies the activation behind them, for ops that carry both.
void start_sums(bool bias, const ForwardIo& io);
/// Adds the second input, which has the output's shape.
void add_residual(const ForwardIo& io);
void finish_sums(Activation activation, std::span<double> output);
/// The gradient in front of a fused activation, from the gradient and the values behind it.
[[nodiscard]] std::vector<double> before_activation(Activation activation, const BackwardIo& io);
/// The gradient of a second input that was added: that in front of the activation. Nothing where it is not
/// wanted, or where the node has one input.
void give_residual(std::span<const double> gradient, const BackwardIo& io);
/// The gradient of a bias along the last axis: the column sums of d_output.
void sum_columns(std::span<const double> d_output, std::span<double> d_bias);

}  // namespace trireme::layers::reference
