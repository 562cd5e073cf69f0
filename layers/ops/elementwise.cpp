#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {
namespace {

/// Operations an element, by which the time model compares ops; a transcendental function counts as ten.
Cost elementwise_cost(double forward, double backward, const Shape& input, const Shape& output) {
    const double outputs = static_cast<double>(output.elements().value);
    return {.forward_flops = forward * outputs,
            .backward_input_flops = backward * outputs,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 0};
}

}  // namespace

Cost cost(const Relu&, const Shape& input, const Shape& output) {
    return elementwise_cost(1, 1, input, output);
}
Cost cost(const Tanh&, const Shape& input, const Shape& output) {
    return elementwise_cost(10, 3, input, output);
}
Cost cost(const Sigmoid&, const Shape& input, const Shape& output) {
    return elementwise_cost(12, 3, input, output);
}

}  // namespace trireme::layers::rules
