// The operations a network is made of: attributes only. Shapes are per sample (no batch axis); images are
// height, width, channels. Weights have the shapes that PyTorch gives them: convolution [out, in / groups,
// kh, kw], linear [out, in], row-major.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

namespace trireme::layers {

/// An element-wise function that a rewrite may fuse behind an op's bias.
enum class Activation { none, relu };

/// out[y, x, o] = sum over i, ky, kx of in[y s - p + ky d, x s - p + kx d, i] w[o, i, ky, kx] (+ b[o]).
///
/// With `residual` a second input, of the output's shape, is added to that, and with an activation that is
/// applied to the sum: activation(out + residual).
struct Conv2d {
    std::int64_t out_channels = 0;
    std::array<std::int64_t, 2> kernel{1, 1};
    std::array<std::int64_t, 2> stride{1, 1};
    std::array<std::int64_t, 2> padding{0, 0};
    std::array<std::int64_t, 2> dilation{1, 1};
    std::int64_t groups = 1;
    bool bias = false;                         ///< parameter 1 is then the bias [out]
    bool residual = false;                     ///< set by the fusion rewrite only, and so is
    Activation activation = Activation::none;  ///< the activation
    bool operator==(const Conv2d&) const = default;
};

/// out = w in (+ b) over the last axis.
struct Linear {
    std::int64_t out_features = 0;
    bool bias = false;
    Activation activation = Activation::none;
    bool operator==(const Linear&) const = default;
};

/// What stands between the two products of a feed-forward: relu, or gelu in its tanh approximation.
enum class HiddenActivation { relu, gelu_tanh };

/// Two linear layers with an activation between them, over the last axis (Vaswani and others, "Attention Is
/// All You Need", 2017, section 3.3):
///
///     h = activation(w1 in + b1)        out = w2 h + b2
///
/// Parameters: w1 [hidden, in], b1 [hidden], w2 [out, hidden], b2 [out]. Made by a rewrite only
/// (fuse_feed_forward): as one op, the activation and its gradient are parts of the products around them, and
/// the values between are a matter of the kernel.
struct FeedForward {
    std::int64_t hidden_features = 0;
    std::int64_t out_features = 0;
    HiddenActivation activation_inside = HiddenActivation::gelu_tanh;
    bool operator==(const FeedForward&) const = default;
};

/// Adds a parameter vector along the last axis.
struct Bias {
    bool operator==(const Bias&) const = default;
};

struct Relu {
    bool operator==(const Relu&) const = default;
};
struct Tanh {
    bool operator==(const Tanh&) const = default;
};
struct Sigmoid {
    bool operator==(const Sigmoid&) const = default;
};

enum class PoolKind { max, average };

/// Pooling over windows, floor rounding. Average divides by the whole window, padding counted as zeros
/// (PyTorch's count_include_pad default). Max ignores padding; of equal values the first in row-major order
/// takes the gradient. An activation is applied to what was pooled.
struct Pool2d {
    PoolKind kind = PoolKind::max;
    std::array<std::int64_t, 2> kernel{2, 2};
    std::array<std::int64_t, 2> stride{2, 2};
    std::array<std::int64_t, 2> padding{0, 0};
    Activation activation = Activation::none;
    bool operator==(const Pool2d&) const = default;
};

/// A view: the same elements as one axis, in height, width, channel order. No kernel runs for it.
struct Flatten {
    bool operator==(const Flatten&) const = default;
};

/// Inputs: logits [classes], target (class index, i32). Output: the loss of each sample (nats), not averaged.
/// The gradient is that of the *sum* over samples; the mean is taken once, at the optimizer step. This holds
/// for all losses. Logits with more axes [positions..., classes] have a target [positions...] of class
/// indices, and the loss of a sample is the mean over its positions (nats a token). With label smoothing s
/// (Szegedy and others, 2016) the label is compared with probability 1 - s + s / classes at its class and s /
/// classes at every other one.
struct SoftmaxCrossEntropy {
    double label_smoothing = 0;  ///< in [0, 1)
    bool operator==(const SoftmaxCrossEntropy&) const = default;
};

/// Ioffe and Szegedy, "Batch Normalization", 2015; over the last axis. In training
///
///     y = (x - mean) / sqrt(variance + eps) * weight + bias
///
/// with mean and biased variance of a channel over the launch's n values: its samples times the positions of
/// one sample. In evaluation mean and variance are the buffers running_mean and running_var. Parameters:
/// weight (ones), bias (zeros).
///
/// A forward in training writes statistics [3, channels], fp32, as sums that launches can be added by:
///
///     n mean;   n (unbiased variance), where n = 1 leaves the biased one;   n mean^2
///
/// Once a step, with S0, S1, S2 and N the sums over all launches, batch_mean = S0 / N and batch_var = S1 / N
/// + S2 / N - batch_mean^2 (mean of the variances plus variance of the means), and each buffer becomes
/// (1 - momentum) * buffer + momentum * batch value.
///
/// With `residual` a second input of the same shape is added to y, and with an activation that is applied to
/// the sum: activation(y + residual).
struct BatchNorm {
    double eps = 1e-5;
    double momentum = 0.1;                     ///< in [0, 1]
    bool residual = false;                     ///< set by the fusion rewrite only, and so is
    Activation activation = Activation::none;  ///< the activation
    bool operator==(const BatchNorm&) const = default;
};

/// A convolution and the batch norm behind it, bare: without bias, residual and activation.
struct ConvNorm {
    Conv2d conv;
    BatchNorm norm;
    bool operator==(const ConvNorm&) const = default;
};

/// What a chain adds behind its last norm: nothing, its first input, or a second one.
enum class ChainResidual { none, input, second };

/// Convolutions joined by batch norms, such as a branch of a residual block (He and others, "Deep Residual
/// Learning for Image Recognition", 2015):
///
///     h = in; for each link: y = norm(conv(h)), h = relu(y)        out = activation(last y (+ residual))
///
/// Parameters: of each link in turn the convolution's weight and the norm's weight and bias. Buffers and
/// statistics: those of the links' BatchNorms, link behind link. Made by a rewrite only (fuse_conv_norms): as
/// one op, norms are parts of the convolutions around them, and what lies between is a matter of the kernel.
struct ConvNormChain {
    std::vector<ConvNorm> links;  ///< one or more
    ChainResidual residual = ChainResidual::none;
    Activation activation = Activation::none;
    bool operator==(const ConvNormChain&) const = default;
};

/// Srivastava and others, 2014, in the inverted form: in training an element is kept with probability 1 - p
/// and then scaled by 1 / (1 - p); in evaluation nothing happens. Element e of the sample that stands at
/// position q of the global batch is kept when
///
///     RandomStream(seed, "dropout/" + node name, step).uniform(q * elements of a sample + e) >= p
///
/// compared in double precision, seed, step and position as in LaunchContext. Backward draws the same numbers
/// again.
struct Dropout {
    double p = 0.5;  ///< in [0, 1)
    bool operator==(const Dropout&) const = default;
};

/// The sum of two or more tensors of one shape.
struct Add {
    bool operator==(const Add&) const = default;
};

/// Two or more tensors, one behind the other along the last axis; all other axes must agree.
struct Concat {
    bool operator==(const Concat&) const = default;
};

/// [height, width, channels] -> [channels]: the mean over all positions.
struct GlobalAveragePool {
    bool operator==(const GlobalAveragePool&) const = default;
};

/// Hendrycks and Gimpel, 2016: x times the normal distribution function of x, or with `tanh` its
/// approximation x / 2 * (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), which GPT-2 was trained with.
struct Gelu {
    bool tanh = false;
    bool operator==(const Gelu&) const = default;
};

/// Ba, Kiros and Hinton, 2016: y = (x - mean) / sqrt(variance + eps) * weight + bias with mean and biased
/// variance over the last axis. Parameters: weight (ones), bias (zeros).
struct LayerNorm {
    double eps = 1e-5;
    bool operator==(const LayerNorm&) const = default;
};

/// Inputs: logits [k], target [k], fp32 from 0 to 1. Output: the mean over k of
/// -t log(sigmoid(x)) - (1 - t) log(1 - sigmoid(x)), in a form that does not overflow.
struct BceWithLogits {
    bool operator==(const BceWithLogits&) const = default;
};

/// Inputs: prediction [k], target [k], fp32. Output: the mean over k of the squared difference.
struct MeanSquaredError {
    bool operator==(const MeanSquaredError&) const = default;
};

/// A table of vectors, one a symbol: i32 [positions...] -> [positions..., features]. Parameter: weight
/// [vocabulary, features], normal with deviation 0.02 as GPT-2 has it. A symbol has no gradient.
struct Embedding {
    std::int64_t vocabulary = 0;
    std::int64_t features = 0;
    bool operator==(const Embedding&) const = default;
};

/// Adds a learned vector to each position of [positions, features]: y = x + weight, the same for all samples
/// (Radford and others, "Language Models are Unsupervised Multitask Learners", 2019). Parameter: weight
/// [positions, features], normal with deviation 0.02.
struct PositionEmbedding {
    bool operator==(const PositionEmbedding&) const = default;
};

/// Vaswani and others, "Attention Is All You Need", 2017, with the causal mask. Input: [T, 3 C], in each row
/// the query, the key and the value of a position, each C = heads * d wide, head by head (what a linear layer
/// of 3 C outputs gives). Output: [T, C], for each head
///
///     out[t] = sum over s <= t of softmax(q[t] . k[s] / sqrt(d)) v[s]
struct CausalSelfAttention {
    std::int64_t heads = 1;
    bool operator==(const CausalSelfAttention&) const = default;
};

using Op =
    std::variant<Conv2d, Linear, Bias, Relu, Tanh, Sigmoid, Pool2d, Flatten, SoftmaxCrossEntropy, BatchNorm,
                 Dropout, Add, Concat, GlobalAveragePool, Gelu, LayerNorm, BceWithLogits, MeanSquaredError,
                 Embedding, PositionEmbedding, CausalSelfAttention, FeedForward, ConvNormChain>;

/// "conv2d", "linear", ...
[[nodiscard]] std::string_view name_of(const Op& op);

}  // namespace trireme::layers
