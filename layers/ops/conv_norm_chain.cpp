#include <fmt/format.h>

#include "layers/ops/rules.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::rules {
namespace {

std::string link_name(const std::string& node, std::size_t link, std::string_view part) {
    return fmt::format("{}.{}.{}", node, link, part);
}

/// A rewrite that left something behind a convolution or a norm would lose it.
void check_bare(const ConvNorm& link) {
    const bool bare = !link.conv.bias && !link.conv.residual && link.conv.activation == Activation::none &&
                      !link.norm.residual && link.norm.activation == Activation::none;
    if (!bare)
        throw ConfigError("conv_norm_chain: a link has a bias, a residual or an activation of its own");
}

}  // namespace

std::string attributes(const ConvNormChain& op) {
    std::string text;
    for (const ConvNorm& link : op.links) {
        text +=
            fmt::format("{}[{}; {}]", text.empty() ? "" : " ", attributes(link.conv), attributes(link.norm));
    }
    if (op.residual != ChainResidual::none)
        text += op.residual == ChainResidual::input ? ", residual=input" : ", residual";
    if (op.activation == Activation::relu) text += ", activation=relu";
    return text;
}

Shape infer(const ConvNormChain& op, const Shapes& inputs) {
    if (op.links.empty()) throw ConfigError("conv_norm_chain: has no links");
    for (const ConvNorm& link : op.links) check_bare(link);
    const Shapes shapes = shapes_along(op, inputs.front());
    for (std::size_t i = 0; i < op.links.size(); ++i) {
        checked_elements(shapes[i + 1], "conv_norm_chain: what lies between");
        (void)infer(op.links[i].norm, {shapes[i + 1]});
    }
    if (op.residual != ChainResidual::none) {
        const bool second = op.residual == ChainResidual::second;
        check_residual("conv_norm_chain", inputs[second ? 1 : 0], "output", shapes.back());
    }
    return shapes.back();
}

std::vector<ParamSpec> params(const ConvNormChain& op, const Shape& input, const std::string& node) {
    const Shapes shapes = shapes_along(op, input);
    std::vector<ParamSpec> all;
    for (std::size_t i = 0; i < op.links.size(); ++i) {
        for (ParamSpec& spec : params(op.links[i].conv, shapes[i], link_name(node, i, "conv")))
            all.push_back(std::move(spec));
        for (ParamSpec& spec : params(op.links[i].norm, shapes[i + 1], link_name(node, i, "norm")))
            all.push_back(std::move(spec));
    }
    return all;
}

std::vector<BufferSpec> buffers(const ConvNormChain& op, const Shape& input, const std::string& node) {
    const Shapes shapes = shapes_along(op, input);
    std::vector<BufferSpec> all;
    for (std::size_t i = 0; i < op.links.size(); ++i) {
        for (BufferSpec& spec : buffers(op.links[i].norm, shapes[i + 1], link_name(node, i, "norm")))
            all.push_back(std::move(spec));
    }
    return all;
}

std::vector<NormSpec> norms(const ConvNormChain& op, const Shape& input) {
    const Shapes shapes = shapes_along(op, input);
    std::vector<NormSpec> all;
    for (std::size_t i = 0; i < op.links.size(); ++i)
        all.push_back(norms(op.links[i].norm, shapes[i + 1]).front());
    return all;
}

/// That of the parts. The gradients between the links are needed in the pass of the parameters, whether the
/// input's is wanted or not. What a norm inside would move, the convolutions around it do not.
Cost cost(const ConvNormChain& op, const Shapes& inputs, const Shape& output) {
    const Shapes shapes = shapes_along(op, inputs.front());
    Cost total;
    for (std::size_t i = 0; i < op.links.size(); ++i) {
        const Cost conv = cost(op.links[i].conv, Shapes{shapes[i]}, shapes[i + 1]);
        const Cost norm = cost(op.links[i].norm, Shapes{shapes[i + 1]}, shapes[i + 1]);
        const bool last = i + 1 == op.links.size();
        total += conv;
        total += norm;
        if (!last) total.activation_bytes -= norm.activation_bytes;
        const double relu = epilogue_flops(false, last ? op.activation : Activation::relu, shapes[i + 1]);
        total.forward_flops += relu;
        total.backward_weight_flops += relu;
    }
    const double first = cost(op.links.front().conv, Shapes{shapes[0]}, shapes[1]).backward_input_flops;
    total.backward_weight_flops += total.backward_input_flops - first;
    total.backward_input_flops = first;
    if (op.residual == ChainResidual::none) return total;
    total.forward_flops += static_cast<double>(output.elements().value);
    total.activation_bytes += 4 * static_cast<double>(output.elements().value);
    return total;
}

BackwardNeeds needs(const ConvNormChain& op) {
    return {.input = true, .output = op.activation != Activation::none, .params = true};
}

}  // namespace trireme::layers::rules

namespace trireme::layers {

std::vector<Shape> shapes_along(const ConvNormChain& op, const Shape& input) {
    std::vector<Shape> shapes{input};
    for (const ConvNorm& link : op.links) shapes.push_back(rules::infer(link.conv, {shapes.back()}));
    return shapes;
}

}  // namespace trireme::layers
