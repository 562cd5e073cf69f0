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
    const Shape& logits = inputs[0];
    const Shape& target = inputs[1];
    if (target.rank() == 0)
        check_rank("softmax_cross_entropy", logits, 1, "one logit a class; put a flatten or linear in front");
    check_last_axis("softmax_cross_entropy", logits, "the last axis holds the classes");
    const Shape wanted(std::vector<std::int64_t>(logits.dims().begin(), logits.dims().end() - 1));
    if (target == wanted) return {};
    throw ConfigError(
        fmt::format("softmax_cross_entropy: the target has shape {}, but a class index {}, of shape {}: "
                    "use a data set with {}, or model.loss = bce or mse for vectors",
                    target.str(), wanted.rank() == 0 ? "is needed" : "at each position is needed",
                    wanted.str(), wanted.rank() == 0 ? "class labels" : "tokens"));
}

Cost cost(const SoftmaxCrossEntropy&, const Shape& input, const Shape& output) {
    const double classes = static_cast<double>(input.elements().value);
    const double positions = classes / static_cast<double>(input[input.rank() - 1]);
    return {.forward_flops = 13 * classes,  // maximum, difference, exponential (ten), sum
            .backward_input_flops = 13 * classes,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output) + 4 * positions,
            .weight_bytes = 0};
}

}  // namespace trireme::layers::rules
