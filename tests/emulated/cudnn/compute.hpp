// What each operation makes of its operands.
#pragma once

#include "tests/emulated/cudnn/engines.hpp"
#include "tests/emulated/cudnn/operations.hpp"
#include "tests/emulated/cudnn/values.hpp"

namespace trireme::emulated::dnn {

/// How an engine's products come out, and in which of its runs.
struct Precision {
    Arithmetic arithmetic = Arithmetic::fp32;
    std::uint64_t run = 0;

    void of_operand(Values& operand) const {
        if (arithmetic == Arithmetic::tf32) round_to_tf32(operand);
        if (arithmetic == Arithmetic::narrow) round_to(operand, CUDNN_DATA_BFLOAT16);
    }
    void of_sums(Values& sums) const;
};

/// The results stand in the order in which an operation writes them.
using Results = std::vector<Values>;

/// `x`, `w` and `y` but for the one that is the result. `before`: what the result's memory held, of a
/// convolution whose beta is not zero.
[[nodiscard]] Values compute(const Convolution& c, const Values* x, const Values* w, const Values* y,
                             const Values* before, const Precision& precision);
/// Operands that the mode does not have are null.
[[nodiscard]] Values compute(const Pointwise& p, const Values& x, const Values* b, const Values* t,
                             const Values* dy);
[[nodiscard]] Values compute(const Matmul& m, const Values& a, const Values& b, const Precision& precision);
[[nodiscard]] Values compute(const Reduction& r, const Values& x);
[[nodiscard]] Values compute(const Reshape& r, const Values& x);
[[nodiscard]] Results compute(const ChannelSums& s, const Values& x);
[[nodiscard]] Results compute(const NormGradients& n, const Values& x, const Values& dy, const Values& mean,
                              const Values& inverse_deviation, const Values& scale);

}  // namespace trireme::emulated::dnn
