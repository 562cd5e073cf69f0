#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

std::string attributes(const CausalSelfAttention& op) { return fmt::format("heads={}", op.heads); }

Shape infer(const CausalSelfAttention& op, const Shapes& inputs) {
    const Shape& in = inputs.front();
    check_rank("causal_self_attention", in, 2, "positions, and in each its query, key and value");
    check_range("causal_self_attention", "heads", op.heads, 1, max_window);
    if (in[1] % (3 * op.heads) != 0) {
        throw ConfigError(
            fmt::format("causal_self_attention: the input has shape {}, but its last axis must be a multiple "
                        "of 3 * heads = "
                        "{}: a query, a key and a value for each head",
                        in.str(), 3 * op.heads));
    }
    return {in[0], in[1] / 3};
}

/// Half of the T x T products, and for each of them an exponential (ten operations) and a few more. Backward
/// recomputes the products of queries and keys and makes four more.
Cost cost(const CausalSelfAttention& op, const Shape& input, const Shape& output) {
    const double positions = static_cast<double>(output[0]);
    const double pairs = positions * (positions + 1) / 2;
    const double product = 2 * pairs * static_cast<double>(output[1]);
    const double scores = pairs * static_cast<double>(op.heads);
    return {.forward_flops = 2 * product + 14 * scores,
            .backward_input_flops = 5 * product + 16 * scores,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 0};
}

BackwardNeeds needs(const CausalSelfAttention&) { return {.input = true, .output = true}; }

}  // namespace trireme::layers::rules
