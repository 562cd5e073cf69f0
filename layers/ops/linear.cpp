#include <fmt/format.h>

#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {

std::string attributes(const Linear& op) {
    std::string text = fmt::format("out_features={}", op.out_features);
    if (op.bias) text += ", bias";
    if (op.activation == Activation::relu) text += ", activation=relu";
    return text;
}

Shape infer(const Linear& op, const Shapes& inputs) {
    const Shape& in = inputs.front();
    check_last_axis("linear", in, "the last axis is what is multiplied");
    check_range("linear", "out_features", op.out_features, 1, max_elements);
    std::vector<std::int64_t> dims = in.dims();
    dims.back() = op.out_features;
    return Shape(std::move(dims));
}

std::vector<ParamSpec> params(const Linear& op, const Shape& input, const std::string& node) {
    const std::int64_t in_features = input[input.rank() - 1];
    const Shape weight{op.out_features, in_features};
    checked_elements(weight, "linear: the weight");
    std::vector<ParamSpec> specs{{node + ".weight", weight, he_uniform(in_features)}};
    if (op.bias) specs.push_back({node + ".bias", {op.out_features}, {}});
    return specs;
}

Cost cost(const Linear& op, const Shape& input, const Shape& output) {
    const double in_features = static_cast<double>(input[input.rank() - 1]);
    const double out_features = static_cast<double>(op.out_features);
    const double products = 2 * in_features * static_cast<double>(output.elements().value);
    const double epilogue = epilogue_flops(op.bias, op.activation, output);
    return {.forward_flops = products + epilogue,
            .backward_input_flops = products,
            .backward_weight_flops = products + epilogue,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 4 * (in_features * out_features + (op.bias ? out_features : 0))};
}

BackwardNeeds needs(const Linear& op) {
    return {.input = true, .output = op.activation != Activation::none, .params = true};
}

}  // namespace trireme::layers::rules
