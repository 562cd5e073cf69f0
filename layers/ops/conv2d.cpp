#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

std::string attributes(const Conv2d& op) {
    std::string text = fmt::format(
        "out_channels={}, kernel={}, stride={}, padding={}, dilation={}, groups={}", op.out_channels,
        str(op.kernel), str(op.stride), str(op.padding), str(op.dilation), op.groups);
    if (op.bias) text += ", bias";
    if (op.residual) text += ", residual";
    if (op.activation == Activation::relu) text += ", activation=relu";
    return text;
}

Shape infer(const Conv2d& op, const Shapes& inputs) {
    const Shape& in = inputs.front();
    check_rank("conv2d", in, 3, "height, width, channels");
    check_range("conv2d", "out_channels", op.out_channels, 1, max_elements);
    check_range("conv2d", "groups", op.groups, 1, max_elements);
    if (in[2] % op.groups != 0 || op.out_channels % op.groups != 0) {
        throw ConfigError(
            fmt::format("conv2d: groups is {}, which does not divide both the {} input channels of {} and "
                        "out_channels {}: choose a common divisor",
                        op.groups, in[2], in.str(), op.out_channels));
    }
    const Pair out = slide("conv2d", in, op.kernel, op.stride, op.padding, op.dilation);
    Shape output{out[0], out[1], op.out_channels};
    if (op.residual) check_residual("conv2d", inputs[1], "output", output);
    return output;
}

std::vector<ParamSpec> params(const Conv2d& op, const Shape& input, const std::string& node) {
    const Shape weight{op.out_channels, input[2] / op.groups, op.kernel[0], op.kernel[1]};
    checked_elements(weight, "conv2d: the weight");
    std::vector<ParamSpec> specs{{node + ".weight", weight, he_uniform(weight[1] * weight[2] * weight[3])}};
    if (op.bias) specs.push_back({node + ".bias", {op.out_channels}, {}});
    return specs;
}

Cost cost(const Conv2d& op, const Shapes& inputs, const Shape& output) {
    const Shape& input = inputs.front();
    const std::int64_t group_channels = input[2] / op.groups;
    const double taps = static_cast<double>(group_channels * op.kernel[0] * op.kernel[1]);
    const double outputs = static_cast<double>(output.elements().value);
    const double products = 2 * taps * outputs;
    const double epilogue = epilogue_flops(op.bias, op.activation, output);
    const double residual = op.residual ? outputs : 0;  // its gradient passes unchanged
    const double weights = taps * static_cast<double>(op.out_channels);
    return {.forward_flops = products + epilogue + residual,
            .backward_input_flops = products,
            .backward_weight_flops = products + epilogue,
            .activation_bytes = activation_bytes(input, output) + 4 * residual,
            .weight_bytes = 4 * (weights + (op.bias ? static_cast<double>(op.out_channels) : 0))};
}

BackwardNeeds needs(const Conv2d& op) {
    return {.input = true, .output = op.activation != Activation::none, .params = true};
}

}  // namespace trireme::layers::rules
