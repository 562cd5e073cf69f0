#include <fmt/format.h>

#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {
namespace {

void check_eps(std::string_view op, double eps) {
    check_number(op, "eps", eps, eps > 0 && eps <= 1, "above 0 and at most 1");
}

std::vector<ParamSpec> scale_and_shift(const Shape& input, const std::string& node) {
    const Shape channels{input[input.rank() - 1]};
    return {{node + ".weight", channels, {Init::Kind::ones, 0}}, {node + ".bias", channels, {}}};
}

/// Forward: mean, variance, then difference, scale and shift. Backward of the input needs two sums and five
/// operations more; the sums are also the gradients of the parameters, and counted with them.
Cost normalization_cost(const Shape& input, const Shape& output) {
    Cost cost = elementwise_cost(8, 5, input, output);
    cost.backward_weight_flops = 5 * static_cast<double>(input.elements().value);
    cost.weight_bytes = 2 * 4 * static_cast<double>(input[input.rank() - 1]);
    return cost;
}

}  // namespace

std::string attributes(const BatchNorm& op) {
    return fmt::format("eps={:.9g}, momentum={:.9g}{}{}", op.eps, op.momentum,
                       op.residual ? ", residual" : "",
                       op.activation == Activation::relu ? ", activation=relu" : "");
}

Shape infer(const BatchNorm& op, const Shapes& inputs) {
    check_last_axis("batch_norm", inputs.front(), "the last axis holds the channels");
    check_eps("batch_norm", op.eps);
    check_number("batch_norm", "momentum", op.momentum, op.momentum >= 0 && op.momentum <= 1,
                 "from 0 to 1: the weight of a step in the running statistics");
    if (op.residual) check_residual("batch_norm", inputs[1], "input", inputs.front());
    return inputs.front();
}

std::vector<ParamSpec> params(const BatchNorm&, const Shape& input, const std::string& node) {
    return scale_and_shift(input, node);
}

std::vector<BufferSpec> buffers(const BatchNorm&, const Shape& input, const std::string& node) {
    const Shape channels{input[input.rank() - 1]};
    return {{node + ".running_mean", channels, 0}, {node + ".running_var", channels, 1}};
}

std::vector<NormSpec> norms(const BatchNorm& op, const Shape& input) {
    const std::int64_t channels = input[input.rank() - 1];
    return {{channels, input.elements().value / channels, op.momentum}};
}

Cost cost(const BatchNorm& op, const Shapes& inputs, const Shape& output) {
    Cost cost = normalization_cost(inputs.front(), output);
    cost.forward_flops += epilogue_flops(op.residual, op.activation, output);
    cost.backward_input_flops += epilogue_flops(false, op.activation, output);
    if (op.residual) cost.activation_bytes += 4 * static_cast<double>(output.elements().value);
    return cost;
}

BackwardNeeds needs(const BatchNorm& op) {
    return {.input = true, .output = op.activation != Activation::none, .params = true};
}

std::string attributes(const LayerNorm& op) { return fmt::format("eps={:.9g}", op.eps); }

Shape infer(const LayerNorm& op, const Shapes& inputs) {
    check_last_axis("layer_norm", inputs.front(), "the last axis is what is normalised");
    check_eps("layer_norm", op.eps);
    return inputs.front();
}

std::vector<ParamSpec> params(const LayerNorm&, const Shape& input, const std::string& node) {
    return scale_and_shift(input, node);
}

Cost cost(const LayerNorm&, const Shape& input, const Shape& output) {
    return normalization_cost(input, output);
}

BackwardNeeds needs(const LayerNorm&) { return {.input = true, .params = true}; }

}  // namespace trireme::layers::rules
