#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

Shape infer(const SoftmaxCrossEntropy&, const Shapes& inputs) {
    check_rank("softmax_cross_entropy", inputs[0], 1, "one logit a class; put a flatten or linear in front");
    if (inputs[1].rank() != 0) {
        throw ConfigError(fmt::format(
            "softmax_cross_entropy: the target has shape {}, but a class index is needed, of shape []: "
            "use a data set with class labels",
            inputs[1].str()));
    }
    return {};
}

Cost cost(const SoftmaxCrossEntropy&, const Shape& input, const Shape& output) {
    const double classes = static_cast<double>(input.elements().value);
    return {.forward_flops = 13 * classes,  // maximum, difference, exponential (ten), sum
            .backward_input_flops = 13 * classes,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output) + 4,
            .weight_bytes = 0};
}

BackwardNeeds needs(const SoftmaxCrossEntropy&) { return {.input = true, .target = true}; }

}  // namespace trireme::layers::rules
