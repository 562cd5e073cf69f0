#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {
namespace {

template <VectorLoss O>
Shape loss_of_vectors(const O& op, const Shapes& inputs) {
    check_rank(name(op), inputs[0], 1, "a vector of outputs; put a flatten or linear in front");
    if (inputs[1] != inputs[0]) {
        throw ConfigError(
            fmt::format("{}: the target has shape {}, but the outputs have {}: the model must end in as many "
                        "outputs as the data set has targets",
                        name(op), inputs[1].str(), inputs[0].str()));
    }
    return {};
}

Cost loss_cost(double forward, double backward, const Shape& input, const Shape& output) {
    Cost cost = elementwise_cost(forward, backward, input, output);
    cost.activation_bytes += 4 * static_cast<double>(input.elements().value);  // the target
    return cost;
}

}  // namespace

Shape infer(const BceWithLogits& op, const Shapes& inputs) { return loss_of_vectors(op, inputs); }

Cost cost(const BceWithLogits&, const Shape& input, const Shape& output) {
    return loss_cost(25, 14, input, output);
}

Shape infer(const MeanSquaredError& op, const Shapes& inputs) { return loss_of_vectors(op, inputs); }

Cost cost(const MeanSquaredError&, const Shape& input, const Shape& output) {
    return loss_cost(3, 3, input, output);
}

}  // namespace trireme::layers::rules
