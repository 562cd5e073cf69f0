#include <fmt/format.h>

#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {

Cost cost(const Relu&, const Shape& input, const Shape& output) {
    return elementwise_cost(1, 1, input, output);
}
Cost cost(const Tanh&, const Shape& input, const Shape& output) {
    return elementwise_cost(10, 3, input, output);
}
Cost cost(const Sigmoid&, const Shape& input, const Shape& output) {
    return elementwise_cost(12, 3, input, output);
}

std::string attributes(const Gelu& op) { return op.tanh ? "tanh" : ""; }

Cost cost(const Gelu& op, const Shape& input, const Shape& output) {
    return op.tanh ? elementwise_cost(18, 26, input, output) : elementwise_cost(13, 25, input, output);
}

BackwardNeeds needs(const Gelu&) { return {.input = true}; }

std::string attributes(const Dropout& op) { return fmt::format("p={:.9g}", op.p); }

Shape infer(const Dropout& op, const Shapes& inputs) {
    check_number("dropout", "p", op.p, op.p >= 0 && op.p < 1,
                 "from 0 to below 1: the probability that a value is dropped");
    return inputs.front();
}

/// Ten rounds of Philox for four numbers: about ten operations a number.
Cost cost(const Dropout&, const Shape& input, const Shape& output) {
    return elementwise_cost(12, 12, input, output);
}

BackwardNeeds needs(const Dropout&) { return {}; }

}  // namespace trireme::layers::rules
