// For tests of one node that reads several tensors: what makes the further ones.
#pragma once

#include <cstdint>
#include <variant>

#include "layers/ops.hpp"

namespace trireme::test {

/// An op that makes a further input of `op`, with that many channels, from what its first input is made of.
/// What a convolution or a chain adds has the shape of its output, what other ops join that of their first
/// input but for the channels.
[[nodiscard]] inline layers::Op side_of(const layers::Op& op, std::int64_t channels) {
    if (const auto* chain = std::get_if<layers::ConvNormChain>(&op))
        return layers::ConvNormChain{chain->links};
    const auto* conv = std::get_if<layers::Conv2d>(&op);
    if (conv == nullptr) return layers::Linear{.out_features = channels};
    layers::Conv2d side = *conv;
    side.bias = false;
    side.residual = false;
    side.activation = layers::Activation::none;
    return side;
}

}  // namespace trireme::test
