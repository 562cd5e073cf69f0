// One op with its shapes, and how near to the reference its kernels must come.
#pragma once

#include <string>
#include <vector>

#include "layers/ops.hpp"
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
    std::vector<Shape> more_inputs = {};  ///< behind the first, for ops that join several

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
[[nodiscard]] Tolerance tolerance_of(const layers::Op& op);

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

}  // namespace trireme::parity
