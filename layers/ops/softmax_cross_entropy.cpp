#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

std::string attributes(const SoftmaxCrossEntropy& op) {
    return op.label_smoothing == 0 ? "" : fmt::format("label_smoothing={:.9g}", op.label_smoothing);
}

Shape infer(const SoftmaxCrossEntropy& op, const Shapes& inputs) {
    check_number("softmax_cross_entropy", "label_smoothing", op.label_smoothing,
                 op.label_smoothing >= 0 && op.label_smoothing < 1, "from 0 to below 1");
    check_rank("softmax_cross_entropy", inputs[0], 1, "one logit a class; put a flatten or linear in front");
    if (inputs[1].rank() != 0) {
        throw ConfigError(fmt::format(
            "softmax_cross_entropy: the target has shape {}, but a class index is needed, of shape []: "
            "use a data set with class labels, or model.loss = bce or mse for vectors",
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

}  // namespace trireme::layers::rules
