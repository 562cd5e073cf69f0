// One op with its shapes, and how near to the reference its kernels must come.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layers/ops.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"

namespace trireme::parity {

/// What the input values are like.
enum class Values {
    plain,  ///< random in [-1, 1)
    tied,   ///< one of five levels, so that windows hold equal maxima
    large,  ///< random in [-50, 50)
};

struct OpCase {
    layers::Op op;
    Shape input;
    std::vector<std::int64_t> batches{1, 3, 16};
    Values values = Values::plain;
    std::vector<Shape> more_inputs = {};  ///< behind the first, for ops that join several or add a residual
    /// How activations and their gradients are stored; class indices are what they are.
    DType input_dtype = DType::f32;
    DType output_dtype = DType::f32;
    /// Parameters are fp32 with values of this type: a product that rounds them to it then has the same kinks
    /// as the reference, where an op has some inside.
    DType param_values = DType::f32;
    std::optional<DType> more_dtype = {};  ///< of the further inputs, where it is not that of the first

    [[nodiscard]] std::string name() const;
};

/// Largest error of an element, relative to the largest magnitude in its tensor.
struct Tolerance {
    double forward = 0;
    double input_gradient = 0;
    double param_gradient = 0;
};

/// fp32 has a unit roundoff of 6e-8. Where an op only selects or copies, results are equal; where it sums,
/// errors grow with the length of the sum (for weight and bias gradients, the batch times the pixels).
///
/// bf16 has a unit roundoff of 3.9e-3, and half of that is the error of a rounded result. An activation or
/// its gradient is rounded once when it is stored; where an op multiplies with a weight, each product carries
/// the weight's own rounding as well, and these average out over a sum. The operands of the gradients of
/// parameters are exact and their sums fp32, so these come as near as in fp32. fp16 has three bits more.
///
/// cuDNN (`provider` "cudnn") writes the gradient of a convolution's weight in the type of its operands, and
/// rounds the weights of attention to 16 bits in front of their product with the values.
[[nodiscard]] Tolerance tolerance_of(const OpCase& op_case, std::string_view provider = {});
/// The cases with their activations stored as `half`, bf16 or fp16: on both sides, on the output's alone (a
/// first layer reads fp32 samples), on the inputs' alone (logits); with further inputs, in every mix.
[[nodiscard]] std::vector<OpCase> stored_as(DType half, const std::vector<OpCase>& cases);

[[nodiscard]] std::vector<OpCase> convolution_cases();
[[nodiscard]] std::vector<OpCase> linear_cases();
[[nodiscard]] std::vector<OpCase> pool_cases();
[[nodiscard]] std::vector<OpCase> elementwise_cases();
[[nodiscard]] std::vector<OpCase> loss_cases();
[[nodiscard]] std::vector<OpCase> vector_loss_cases();
[[nodiscard]] std::vector<OpCase> normalization_cases();
[[nodiscard]] std::vector<OpCase> dropout_cases();
[[nodiscard]] std::vector<OpCase> joining_cases();
[[nodiscard]] std::vector<OpCase> global_average_cases();
[[nodiscard]] std::vector<OpCase> embedding_cases();
[[nodiscard]] std::vector<OpCase> attention_cases();
/// With gelu inside and with relu; ragged around rows of 8 and masks of 128 bits. Not every device asks for
/// this op.
[[nodiscard]] std::vector<OpCase> feed_forward_cases();
/// Of one to three links, with strides, tails of packs and all that can be added. Not every device asks for
/// this op.
[[nodiscard]] std::vector<OpCase> conv_norm_chain_cases();

}  // namespace trireme::parity
