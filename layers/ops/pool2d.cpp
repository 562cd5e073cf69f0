#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

std::string attributes(const Pool2d& op) {
    std::string text =
        fmt::format("kernel={}, stride={}, padding={}", str(op.kernel), str(op.stride), str(op.padding));
    if (op.activation == Activation::relu) text += ", activation=relu";
    return text;
}

Shape infer(const Pool2d& op, const Shapes& inputs) {
    const Shape& in = inputs.front();
    check_rank(name(op), in, 3, "height, width, channels");
    const Pair out = slide(name(op), in, op.kernel, op.stride, op.padding, {1, 1});
    if (op.padding[0] >= op.kernel[0] || op.padding[1] >= op.kernel[1]) {
        throw ConfigError(fmt::format(
            "{}: padding {} is not below kernel {}, so that a window could hold nothing but padding "
            "(input {}): use less padding",
            name(op), str(op.padding), str(op.kernel), in.str()));
    }
    return {out[0], out[1], in[2]};
}

Cost cost(const Pool2d& op, const Shape& input, const Shape& output) {
    const double window = static_cast<double>(op.kernel[0] * op.kernel[1]);
    const double work = window * static_cast<double>(output.elements().value);
    return {.forward_flops = work,
            .backward_input_flops = work,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 0};
}

Shape infer(const GlobalAveragePool&, const Shapes& inputs) {
    check_rank("global_average_pool", inputs.front(), 3, "height, width, channels");
    return {inputs.front()[2]};
}

Cost cost(const GlobalAveragePool&, const Shape& input, const Shape& output) {
    return elementwise_cost(1, 1, input, output);
}

BackwardNeeds needs(const GlobalAveragePool&) { return {}; }

BackwardNeeds needs(const Pool2d& op) {
    return {.input = op.kind == PoolKind::max, .output = op.activation != Activation::none};
}

}  // namespace trireme::layers::rules
