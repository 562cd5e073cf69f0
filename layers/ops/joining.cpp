#include <algorithm>

#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {
namespace {

/// Every input is read once and the output written.
Cost joining_cost(double forward, const Shapes& inputs, const Shape& output) {
    double read = 0;
    for (const Shape& input : inputs) read += static_cast<double>(input.elements().value);
    const double written = static_cast<double>(output.elements().value);
    return {.forward_flops = forward,
            .backward_input_flops = 0,  // the gradient passes unchanged
            .backward_weight_flops = 0,
            .activation_bytes = 4 * (read + written),
            .weight_bytes = 0};
}

bool same_but_last(const Shape& a, const Shape& b) {
    return a.rank() == b.rank() && std::equal(a.dims().begin(), a.dims().end() - 1, b.dims().begin());
}

}  // namespace

Shape infer(const Add&, const Shapes& inputs) {
    for (std::size_t i = 1; i < inputs.size(); ++i) {
        if (inputs[i] == inputs.front()) continue;
        throw ConfigError(fmt::format(
            "add: input {} has shape {}, but input 0 has {}: all inputs must have one shape; let a "
            "convolution or linear layer bring the branches together",
            i, inputs[i].str(), inputs.front().str()));
    }
    return inputs.front();
}

Cost cost(const Add&, const Shapes& inputs, const Shape& output) {
    const double sums = static_cast<double>(inputs.size() - 1) * static_cast<double>(output.elements().value);
    return joining_cost(sums, inputs, output);
}

Shape infer(const Concat&, const Shapes& inputs) {
    check_last_axis("concat", inputs.front(), "inputs are joined along the last axis");
    std::vector<std::int64_t> dims = inputs.front().dims();
    dims.back() = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        if (!same_but_last(inputs.front(), inputs[i])) {
            throw ConfigError(fmt::format(
                "concat: input {} has shape {}, but input 0 has {}: they may differ in the last axis alone",
                i, inputs[i].str(), inputs.front().str()));
        }
        dims.back() += inputs[i].dims().back();
    }
    return Shape(std::move(dims));
}

Cost cost(const Concat&, const Shapes& inputs, const Shape& output) {
    return joining_cost(0, inputs, output);
}

}  // namespace trireme::layers::rules
