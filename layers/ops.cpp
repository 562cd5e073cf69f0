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

bool reads_more(const Op& op) {
    return std::visit([]<class O>(const O&) { return rules::Joining<O>; }, op);
}

bool is_loss(const Op& op) {
    return std::visit([]<class O>(const O&) { return rules::Loss<O>; }, op);
}

DType input_dtype(const Op& op, std::size_t index) {
    return std::visit([&](const auto& o) { return rules::input_dtype(o, index); }, op);
}

Shape infer_shape(const Op& op, const std::vector<Shape>& inputs) {
    const std::size_t least = input_count(op);
    if (inputs.size() < least || (inputs.size() > least && !reads_more(op))) {
        throw ConfigError(fmt::format("{}: {} inputs are given, but it reads {}{}", name_of(op),
                                      inputs.size(), least, reads_more(op) ? " or more" : ""));
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

std::vector<BufferSpec> buffers_of(const Op& op, const Shape& input, const std::string& node_name) {
    return std::visit([&](const auto& o) { return rules::buffers(o, input, node_name); }, op);
}

std::int64_t statistics_of(const Op& op, const Shape& input) {
    std::int64_t elements = 0;
    for (const NormSpec& norm : norms_of(op, input)) elements += norm.statistics();
    return elements;
}

std::vector<NormSpec> norms_of(const Op& op, const Shape& input) {
    return std::visit([&](const auto& o) { return rules::norms(o, input); }, op);
}

Cost cost_of(const Op& op, const std::vector<Shape>& inputs, const Shape& output) {
    return std::visit([&](const auto& o) { return rules::cost(o, inputs, output); }, op);
}

BackwardNeeds backward_needs(const Op& op) {
    return std::visit([](const auto& o) { return rules::needs(o); }, op);
}

Activation activation_of(const Op& op) {
    return std::visit(
        [](const auto& o) {
            if constexpr (requires { o.activation; }) return o.activation;
            return Activation::none;
        },
        op);
}

bool multiplies_weight(const Op& op) {
    return std::holds_alternative<Conv2d>(op) || std::holds_alternative<Linear>(op) ||
           std::holds_alternative<FeedForward>(op) || std::holds_alternative<ConvNormChain>(op);
}

bool is_view(const Op& op) { return std::holds_alternative<Flatten>(op); }

}  // namespace trireme::layers
