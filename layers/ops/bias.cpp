#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {

Shape infer(const Bias&, const Shapes& inputs) {
    check_last_axis("bias", inputs.front(), "the parameter lies along the last axis");
    return inputs.front();
}

std::vector<ParamSpec> params(const Bias&, const Shape& input, const std::string& node) {
    return {{node + ".bias", {input[input.rank() - 1]}, {}}};
}

Cost cost(const Bias&, const Shape& input, const Shape& output) {
    const double outputs = static_cast<double>(output.elements().value);
    return {.forward_flops = outputs,
            .backward_input_flops = 0,  // the gradient passes unchanged
            .backward_weight_flops = outputs,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 4 * static_cast<double>(input[input.rank() - 1])};
}

BackwardNeeds needs(const Bias&) { return {}; }

}  // namespace trireme::layers::rules
