#include "layers/ops.hpp"

#include <fmt/format.h>

#include "layers/graph.hpp"
#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers {

std::string_view name_of(const Op& op) {
    return std::visit([](const auto& o) { return rules::name(o); }, op);
}

std::string attributes_of(const Op& op) {
    return std::visit([](const auto& o) { return rules::attributes(o); }, op);
}

std::size_t input_count(const Op& op) {
    return std::visit([](const auto& o) { return rules::input_count(o); }, op);
}

DType input_dtype(const Op& op, std::size_t index) {
    return std::visit([&](const auto& o) { return rules::input_dtype(o, index); }, op);
}

Shape infer_shape(const Op& op, const std::vector<Shape>& inputs) {
    if (inputs.size() != input_count(op)) {
        throw ConfigError(fmt::format("{}: {} inputs are given, but it reads {}", name_of(op), inputs.size(),
                                      input_count(op)));
    }
    for (const Shape& input : inputs)
        rules::checked_elements(input, fmt::format("{}: an input", name_of(op)));
    Shape output = std::visit([&](const auto& o) { return rules::infer(o, inputs); }, op);
    rules::checked_elements(output, fmt::format("{}: the output", name_of(op)));
    return output;
}

std::vector<ParamSpec> params_of(const Op& op, const Shape& input, const std::string& node_name) {
    return std::visit([&](const auto& o) { return rules::params(o, input, node_name); }, op);
}

Cost cost_of(const Op& op, const Shape& input, const Shape& output) {
    return std::visit([&](const auto& o) { return rules::cost(o, input, output); }, op);
}

BackwardNeeds backward_needs(const Op& op) {
    return std::visit([](const auto& o) { return rules::needs(o); }, op);
}

bool is_view(const Op& op) { return std::holds_alternative<Flatten>(op); }

}  // namespace trireme::layers
