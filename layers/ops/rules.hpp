// What the graph asks of every op, as overloads over the closed variant of layers/ops.hpp: each op answers in
// a file of its own, and layers/ops.cpp dispatches with std::visit. Only the layers box includes this header.
//
// All rules throw ConfigError without the node's name; ModelGraph puts it in front.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "layers/graph.hpp"

namespace trireme::layers::rules {

using Shapes = std::vector<Shape>;
using Pair = std::array<std::int64_t, 2>;

/// No tensor or parameter may have more elements: offsets then stay far from the end of 64 bits.
inline constexpr std::int64_t max_elements = std::int64_t{1} << 40;
/// Kernel, stride, padding and dilation stay below this, so that their products cannot overflow.
inline constexpr std::int64_t max_window = std::int64_t{1} << 20;

template <class O>
concept Elementwise =
    std::same_as<O, Relu> || std::same_as<O, Tanh> || std::same_as<O, Sigmoid> || std::same_as<O, Gelu>;
/// Ops that read any number of inputs from two.
template <class O>
concept Joining = std::same_as<O, Add> || std::same_as<O, Concat>;
/// Losses over two vectors of one length.
template <class O>
concept VectorLoss = std::same_as<O, BceWithLogits> || std::same_as<O, MeanSquaredError>;
template <class O>
concept Loss = std::same_as<O, SoftmaxCrossEntropy> || VectorLoss<O>;

[[nodiscard]] constexpr std::string_view name(const Conv2d&) { return "conv2d"; }
[[nodiscard]] constexpr std::string_view name(const Linear&) { return "linear"; }
[[nodiscard]] constexpr std::string_view name(const Bias&) { return "bias"; }
[[nodiscard]] constexpr std::string_view name(const Relu&) { return "relu"; }
[[nodiscard]] constexpr std::string_view name(const Tanh&) { return "tanh"; }
[[nodiscard]] constexpr std::string_view name(const Sigmoid&) { return "sigmoid"; }
[[nodiscard]] constexpr std::string_view name(const Pool2d& op) {
    return op.kind == PoolKind::max ? "max_pool2d" : "average_pool2d";
}
[[nodiscard]] constexpr std::string_view name(const Flatten&) { return "flatten"; }
[[nodiscard]] constexpr std::string_view name(const SoftmaxCrossEntropy&) { return "softmax_cross_entropy"; }
[[nodiscard]] constexpr std::string_view name(const BatchNorm&) { return "batch_norm"; }
[[nodiscard]] constexpr std::string_view name(const Dropout&) { return "dropout"; }
[[nodiscard]] constexpr std::string_view name(const Add&) { return "add"; }
[[nodiscard]] constexpr std::string_view name(const Concat&) { return "concat"; }
[[nodiscard]] constexpr std::string_view name(const GlobalAveragePool&) { return "global_average_pool"; }
[[nodiscard]] constexpr std::string_view name(const Gelu&) { return "gelu"; }
[[nodiscard]] constexpr std::string_view name(const LayerNorm&) { return "layer_norm"; }
[[nodiscard]] constexpr std::string_view name(const BceWithLogits&) { return "bce_with_logits"; }
[[nodiscard]] constexpr std::string_view name(const MeanSquaredError&) { return "mean_squared_error"; }
[[nodiscard]] constexpr std::string_view name(const Embedding&) { return "embedding"; }
[[nodiscard]] constexpr std::string_view name(const PositionEmbedding&) { return "position_embedding"; }
[[nodiscard]] constexpr std::string_view name(const CausalSelfAttention&) { return "causal_self_attention"; }
[[nodiscard]] constexpr std::string_view name(const FeedForward&) { return "feed_forward"; }
[[nodiscard]] constexpr std::string_view name(const ConvNormChain&) { return "conv_norm_chain"; }

/// "out_channels=20, kernel=5x5, ..."; empty for ops without attributes.
[[nodiscard]] std::string attributes(const Conv2d& op);
[[nodiscard]] std::string attributes(const Linear& op);
[[nodiscard]] std::string attributes(const Pool2d& op);
[[nodiscard]] std::string attributes(const SoftmaxCrossEntropy& op);
[[nodiscard]] std::string attributes(const BatchNorm& op);
[[nodiscard]] std::string attributes(const Dropout& op);
[[nodiscard]] std::string attributes(const Gelu& op);
[[nodiscard]] std::string attributes(const LayerNorm& op);
[[nodiscard]] std::string attributes(const Embedding& op);
[[nodiscard]] std::string attributes(const CausalSelfAttention& op);
[[nodiscard]] std::string attributes(const FeedForward& op);
[[nodiscard]] std::string attributes(const ConvNormChain& op);
template <class O>
[[nodiscard]] std::string attributes(const O&) {
    return {};
}

/// How many tensors the op reads, at least.
[[nodiscard]] constexpr std::size_t input_count(const Conv2d& op) { return op.residual ? 2 : 1; }
[[nodiscard]] constexpr std::size_t input_count(const BatchNorm& op) { return op.residual ? 2 : 1; }
[[nodiscard]] constexpr std::size_t input_count(const ConvNormChain& op) {
    return op.residual == ChainResidual::second ? 2 : 1;
}
template <class O>
[[nodiscard]] constexpr std::size_t input_count(const O&) {
    return Loss<O> || Joining<O> ? 2 : 1;
}

/// The element type of input `index`: fp32 for all but the class index of a loss and symbols.
[[nodiscard]] constexpr DType input_dtype(const Embedding&, std::size_t) { return DType::i32; }
[[nodiscard]] constexpr DType input_dtype(const SoftmaxCrossEntropy&, std::size_t index) {
    return index == 1 ? DType::i32 : DType::f32;
}
template <class O>
[[nodiscard]] constexpr DType input_dtype(const O&, std::size_t) {
    return DType::f32;
}

[[nodiscard]] Shape infer(const Conv2d& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Linear& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Bias& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Pool2d& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Flatten& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const SoftmaxCrossEntropy& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const BatchNorm& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Dropout& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Add& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Concat& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const GlobalAveragePool& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const LayerNorm& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const BceWithLogits& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const MeanSquaredError& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const Embedding& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const PositionEmbedding& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const CausalSelfAttention& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const FeedForward& op, const Shapes& inputs);
[[nodiscard]] Shape infer(const ConvNormChain& op, const Shapes& inputs);
template <Elementwise O>
[[nodiscard]] Shape infer(const O&, const Shapes& inputs) {
    return inputs.front();
}

[[nodiscard]] std::vector<ParamSpec> params(const Conv2d& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const Linear& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const Bias& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const BatchNorm& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const LayerNorm& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const Embedding& op, const Shape& input, const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const PositionEmbedding& op, const Shape& input,
                                            const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const FeedForward& op, const Shape& input,
                                            const std::string& node);
[[nodiscard]] std::vector<ParamSpec> params(const ConvNormChain& op, const Shape& input,
                                            const std::string& node);
template <class O>
[[nodiscard]] std::vector<ParamSpec> params(const O&, const Shape&, const std::string&) {
    return {};
}

[[nodiscard]] std::vector<BufferSpec> buffers(const BatchNorm& op, const Shape& input,
                                              const std::string& node);
[[nodiscard]] std::vector<BufferSpec> buffers(const ConvNormChain& op, const Shape& input,
                                              const std::string& node);
template <class O>
[[nodiscard]] std::vector<BufferSpec> buffers(const O&, const Shape&, const std::string&) {
    return {};
}

[[nodiscard]] std::vector<NormSpec> norms(const BatchNorm& op, const Shape& input);
[[nodiscard]] std::vector<NormSpec> norms(const ConvNormChain& op, const Shape& input);
template <class O>
[[nodiscard]] std::vector<NormSpec> norms(const O&, const Shape&) {
    return {};
}

[[nodiscard]] Cost cost(const Conv2d& op, const Shapes& inputs, const Shape& output);
[[nodiscard]] Cost cost(const Linear& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Bias& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Relu& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Tanh& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Sigmoid& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Pool2d& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Flatten& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const SoftmaxCrossEntropy& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const BatchNorm& op, const Shapes& inputs, const Shape& output);
[[nodiscard]] Cost cost(const Dropout& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const GlobalAveragePool& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Gelu& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const LayerNorm& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const BceWithLogits& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const MeanSquaredError& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const Embedding& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const PositionEmbedding& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const CausalSelfAttention& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const FeedForward& op, const Shape& input, const Shape& output);
[[nodiscard]] Cost cost(const ConvNormChain& op, const Shapes& inputs, const Shape& output);
[[nodiscard]] Cost cost(const Add& op, const Shapes& inputs, const Shape& output);
[[nodiscard]] Cost cost(const Concat& op, const Shapes& inputs, const Shape& output);
/// The first input tells the work of all ops but those that join several.
template <class O>
[[nodiscard]] Cost cost(const O& op, const Shapes& inputs, const Shape& output) {
    return cost(op, inputs.front(), output);
}

[[nodiscard]] BackwardNeeds needs(const Conv2d& op);
[[nodiscard]] BackwardNeeds needs(const Linear& op);
[[nodiscard]] BackwardNeeds needs(const Bias& op);
[[nodiscard]] BackwardNeeds needs(const Pool2d& op);
[[nodiscard]] BackwardNeeds needs(const Flatten& op);
[[nodiscard]] BackwardNeeds needs(const GlobalAveragePool& op);
/// The mask of a dropout is drawn again.
[[nodiscard]] BackwardNeeds needs(const Dropout& op);
[[nodiscard]] BackwardNeeds needs(const Gelu& op);
[[nodiscard]] BackwardNeeds needs(const BatchNorm& op);
[[nodiscard]] BackwardNeeds needs(const LayerNorm& op);
[[nodiscard]] BackwardNeeds needs(const Embedding& op);
[[nodiscard]] BackwardNeeds needs(const PositionEmbedding& op);
[[nodiscard]] BackwardNeeds needs(const CausalSelfAttention& op);
[[nodiscard]] BackwardNeeds needs(const FeedForward& op);
[[nodiscard]] BackwardNeeds needs(const ConvNormChain& op);
template <Joining O>
[[nodiscard]] BackwardNeeds needs(const O&) {
    return {};
}
template <Loss O>
[[nodiscard]] BackwardNeeds needs(const O&) {
    return {.input = true, .target = true};
}
/// The derivatives of relu, tanh and sigmoid are functions of what they put out.
template <Elementwise O>
[[nodiscard]] BackwardNeeds needs(const O&) {
    return {.output = true};
}

// Helpers that several ops share.

/// The product of the extents. Throws ConfigError naming `what` when an extent is below one or the product is
/// above max_elements.
Elements checked_elements(const Shape& shape, std::string_view what);
/// Throws ConfigError unless low <= value <= high.
void check_range(std::string_view op, std::string_view attribute, std::int64_t value, std::int64_t low,
                 std::int64_t high);
void check_range(std::string_view op, std::string_view attribute, const Pair& value, std::int64_t low,
                 std::int64_t high);
/// Throws ConfigError, with `rule` in words, unless `valid`.
void check_number(std::string_view op, std::string_view attribute, double value, bool valid,
                  std::string_view rule);
/// Throws ConfigError unless `input` has a last axis, which `meaning` says the use of.
void check_last_axis(std::string_view op, const Shape& input, std::string_view meaning);
/// Throws ConfigError unless `input` has the given rank; `meaning` says what the axes are.
void check_rank(std::string_view op, const Shape& input, int rank, std::string_view meaning);
/// Throws ConfigError unless a fused residual has the given shape, which `what` says the tensor of.
void check_residual(std::string_view op, const Shape& residual, std::string_view what, const Shape& shape);
/// Height and width of what a sliding window gives, rounded down. Throws ConfigError where the window does
/// not fit in the padded input.
[[nodiscard]] Pair slide(std::string_view op, const Shape& input, const Pair& kernel, const Pair& stride,
                         const Pair& padding, const Pair& dilation);
/// "5x5"
[[nodiscard]] std::string str(const Pair& pair);
/// He and others, "Delving Deep into Rectifiers", 2015: variance 2 / fan_in keeps the scale of activations
/// through relu layers; drawn uniformly, the bound is sqrt(6 / fan_in).
[[nodiscard]] Init he_uniform(std::int64_t fan_in);
/// Work of `forward` and `backward` operations an element, without parameters. A transcendental function
/// counts as ten.
[[nodiscard]] Cost elementwise_cost(double forward, double backward, const Shape& input, const Shape& output);
/// fp32 bytes of both shapes together.
[[nodiscard]] double activation_bytes(const Shape& input, const Shape& output);
/// Floating-point work of the bias and the activation that an op carries, a pass.
[[nodiscard]] double epilogue_flops(bool bias, Activation activation, const Shape& output);

}  // namespace trireme::layers::rules
