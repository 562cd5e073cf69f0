#include <fmt/format.h>

#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {
namespace {

/// One value a row for each hidden feature: a sample's.
double hidden_elements(const FeedForward& op, const Shape& input) {
    const double rows = static_cast<double>(input.elements().value / input[input.rank() - 1]);
    return rows * static_cast<double>(op.hidden_features);
}

}  // namespace

std::string attributes(const FeedForward& op) {
    return fmt::format("hidden_features={}, out_features={}, {}", op.hidden_features, op.out_features,
                       op.activation_inside == HiddenActivation::relu ? "relu" : "gelu_tanh");
}

Shape infer(const FeedForward& op, const Shapes& inputs) {
    const Shape& in = inputs.front();
    check_last_axis("feed_forward", in, "the last axis is what is multiplied");
    check_range("feed_forward", "hidden_features", op.hidden_features, 1, max_elements);
    check_range("feed_forward", "out_features", op.out_features, 1, max_elements);
    std::vector<std::int64_t> dims = in.dims();
    dims.back() = op.hidden_features;
    checked_elements(Shape(dims), "feed_forward: what lies between the products");
    dims.back() = op.out_features;
    return Shape(std::move(dims));
}

std::vector<ParamSpec> params(const FeedForward& op, const Shape& input, const std::string& node) {
    const std::int64_t in_features = input[input.rank() - 1];
    const Shape first{op.hidden_features, in_features};
    const Shape second{op.out_features, op.hidden_features};
    checked_elements(first, "feed_forward: the first weight");
    checked_elements(second, "feed_forward: the second weight");
    return {{node + ".hidden.weight", first, he_uniform(in_features)},
            {node + ".hidden.bias", {op.hidden_features}, {}},
            {node + ".weight", second, he_uniform(op.hidden_features)},
            {node + ".bias", {op.out_features}, {}}};
}

/// Four products and the activation's gradient in the pass of the parameters, since the gradient between the
/// products is needed there whether the input's is wanted or not.
Cost cost(const FeedForward& op, const Shape& input, const Shape& output) {
    const double in_features = static_cast<double>(input[input.rank() - 1]);
    const double hidden_features = static_cast<double>(op.hidden_features);
    const double out_features = static_cast<double>(op.out_features);
    const double hidden = hidden_elements(op, input);
    const double outputs = static_cast<double>(output.elements().value);
    const double first = 2 * in_features * hidden;
    const double second = 2 * hidden_features * outputs;
    const bool relu = op.activation_inside == HiddenActivation::relu;
    return {.forward_flops = first + second + hidden + outputs + (relu ? 1 : 18) * hidden,
            .backward_input_flops = first,
            .backward_weight_flops = first + 2 * second + hidden + outputs + (relu ? 1 : 26) * hidden,
            .activation_bytes = activation_bytes(input, output) + 8 * hidden,
            .weight_bytes = 4 * (hidden_features * (in_features + 1) + out_features * (hidden_features + 1))};
}

BackwardNeeds needs(const FeedForward&) { return {.input = true, .params = true}; }

}  // namespace trireme::layers::rules
