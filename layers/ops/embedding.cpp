#include <fmt/format.h>

#include "layers/ops/rules.hpp"

namespace trireme::layers::rules {
namespace {

/// The deviation of GPT-2's initial weights.
constexpr Init table_init{Init::Kind::normal, 0.02};

}  // namespace

std::string attributes(const Embedding& op) {
    return fmt::format("vocabulary={}, features={}", op.vocabulary, op.features);
}

Shape infer(const Embedding& op, const Shapes& inputs) {
    check_range("embedding", "vocabulary", op.vocabulary, 1, std::int64_t{1} << 31);
    check_range("embedding", "features", op.features, 1, max_elements);
    std::vector<std::int64_t> dims = inputs.front().dims();
    dims.push_back(op.features);
    return Shape(std::move(dims));
}

std::vector<ParamSpec> params(const Embedding& op, const Shape&, const std::string& node) {
    const Shape table{op.vocabulary, op.features};
    checked_elements(table, "embedding: the weight");
    return {{node + ".weight", table, table_init}};
}

/// Rows of the table are copied; backward adds as many.
Cost cost(const Embedding&, const Shape& input, const Shape& output) {
    const double outputs = static_cast<double>(output.elements().value);
    return {.forward_flops = 0,
            .backward_input_flops = 0,
            .backward_weight_flops = outputs,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 4 * outputs};
}

BackwardNeeds needs(const Embedding&) { return {.input = true}; }

Shape infer(const PositionEmbedding&, const Shapes& inputs) {
    check_rank("position_embedding", inputs.front(), 2, "positions and features, as an embedding gives them");
    return inputs.front();
}

std::vector<ParamSpec> params(const PositionEmbedding&, const Shape& input, const std::string& node) {
    return {{node + ".weight", input, table_init}};
}

Cost cost(const PositionEmbedding&, const Shape& input, const Shape& output) {
    const double outputs = static_cast<double>(output.elements().value);
    return {.forward_flops = outputs,
            .backward_input_flops = 0,  // the gradient passes unchanged
            .backward_weight_flops = outputs,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 4 * outputs};
}

BackwardNeeds needs(const PositionEmbedding&) { return {}; }

}  // namespace trireme::layers::rules
