// The operations a network is made of: attributes only. Shapes are per sample (no batch axis); images are
// height, width, channels. Weights have the shapes that PyTorch gives them: convolution [out, in / groups,
// kh, kw], linear [out, in], row-major.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <variant>

namespace trireme::layers {

/// An element-wise function that a rewrite may fuse behind an op's bias.
enum class Activation { none, relu };

/// out[y, x, o] = sum over i, ky, kx of in[y s - p + ky d, x s - p + kx d, i] w[o, i, ky, kx] (+ b[o]).
struct Conv2d {
    std::int64_t out_channels = 0;
    std::array<std::int64_t, 2> kernel{1, 1};
    std::array<std::int64_t, 2> stride{1, 1};
    std::array<std::int64_t, 2> padding{0, 0};
    std::array<std::int64_t, 2> dilation{1, 1};
    std::int64_t groups = 1;
    bool bias = false;                         ///< parameter 1 is then the bias [out]
    Activation activation = Activation::none;  ///< set by the fusion rewrite only
    bool operator==(const Conv2d&) const = default;
};

/// out = w in (+ b) over the last axis.
struct Linear {
    std::int64_t out_features = 0;
    bool bias = false;
    Activation activation = Activation::none;
    bool operator==(const Linear&) const = default;
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
/// takes the gradient.
struct Pool2d {
    PoolKind kind = PoolKind::max;
    std::array<std::int64_t, 2> kernel{2, 2};
    std::array<std::int64_t, 2> stride{2, 2};
    std::array<std::int64_t, 2> padding{0, 0};
    bool operator==(const Pool2d&) const = default;
};

/// A view: the same elements as one axis, in height, width, channel order. No kernel runs for it.
struct Flatten {
    bool operator==(const Flatten&) const = default;
};

/// Inputs: logits [classes], target (class index, i32). Output: the loss of each sample (nats), not averaged.
/// The gradient is that of the *sum* over samples; the mean is taken once, at the optimizer step.
struct SoftmaxCrossEntropy {
    bool operator==(const SoftmaxCrossEntropy&) const = default;
};

using Op = std::variant<Conv2d, Linear, Bias, Relu, Tanh, Sigmoid, Pool2d, Flatten, SoftmaxCrossEntropy>;

/// "conv2d", "linear", ...
[[nodiscard]] std::string_view name_of(const Op& op);

}  // namespace trireme::layers
