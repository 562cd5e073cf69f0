#include "jobs/models/layer_types.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "jobs/models/loss.hpp"

namespace trireme::jobs {
namespace {

using namespace layers;
using Pair = TomlReader::Pair;

constexpr std::int64_t most_features = std::int64_t{1} << 30;

/// A whole number, or "classes": as many as the data set or the job asks for.
std::int64_t features(TomlReader& attributes, std::string_view key, std::int64_t outputs) {
    attributes.missing(key, "give a whole number, or \"classes\" in the last layer");
    const TomlValue* value = attributes.find(key);
    const auto* text = value == nullptr ? nullptr : value->as<std::string>();
    if (text == nullptr) return attributes.integer(key, 1, 1, most_features);
    if (*text != "classes")
        attributes.refuse(key, "must be a whole number, or \"classes\" for as many as there are classes");
    else if (outputs == 0)
        attributes.refuse(key,
                          "the number of classes is not known: name a data set, model.classes, or "
                          "classes at the top of the file");
    return std::max<std::int64_t>(outputs, 1);
}

/// "same" keeps height and width at stride 1.
Pair padding(TomlReader& attributes, const Pair& kernel, const Pair& dilation) {
    const TomlValue* value = attributes.find("padding");
    const auto* text = value == nullptr ? nullptr : value->as<std::string>();
    if (text == nullptr) return attributes.pair("padding", {0, 0}, 0);
    if (*text != "same") attributes.refuse("padding", "must be whole numbers, or \"same\"");
    if (kernel[0] % 2 == 0 || kernel[1] % 2 == 0)
        attributes.refuse("padding",
                          fmt::format("needs an odd kernel, but it is {}x{}", kernel[0], kernel[1]));
    return {dilation[0] * (kernel[0] - 1) / 2, dilation[1] * (kernel[1] - 1) / 2};
}

LayerOp conv2d(TomlReader& attributes, std::int64_t outputs) {
    Conv2d op;
    op.out_channels = features(attributes, "out_channels", outputs);
    op.kernel = attributes.needed_pair("kernel", 1);
    op.stride = attributes.pair("stride", {1, 1}, 1);
    op.dilation = attributes.pair("dilation", {1, 1}, 1);
    op.padding = padding(attributes, op.kernel, op.dilation);
    op.groups = attributes.integer("groups", 1, 1, most_features);
    return {op, attributes.flag("bias", true)};
}

LayerOp linear(TomlReader& attributes, std::int64_t outputs) {
    Linear op;
    op.out_features = features(attributes, "out_features", outputs);
    return {op, attributes.flag("bias", true)};
}

LayerOp pool(TomlReader& attributes, PoolKind kind) {
    Pool2d op;
    op.kind = kind;
    op.kernel = attributes.needed_pair("kernel", 1);
    op.stride = attributes.pair("stride", op.kernel, 1);
    op.padding = attributes.pair("padding", {0, 0}, 0);
    return {op};
}

LayerOp max_pool(TomlReader& attributes, std::int64_t) { return pool(attributes, PoolKind::max); }
LayerOp average_pool(TomlReader& attributes, std::int64_t) { return pool(attributes, PoolKind::average); }

LayerOp batch_norm(TomlReader& attributes, std::int64_t) {
    const double eps = attributes.number("eps", 1e-5, 1e-12, 1);
    return {BatchNorm{.eps = eps, .momentum = attributes.number("momentum", 0.1, 0, 1)}};
}

LayerOp layer_norm(TomlReader& attributes, std::int64_t) {
    return {LayerNorm{.eps = attributes.number("eps", 1e-5, 1e-12, 1)}};
}

LayerOp dropout(TomlReader& attributes, std::int64_t) {
    return {Dropout{.p = attributes.number("p", 0.5, 0, 0.999)}};
}

LayerOp gelu(TomlReader& attributes, std::int64_t) { return {Gelu{.tanh = attributes.flag("tanh", false)}}; }

LayerOp cross_entropy(TomlReader& attributes, std::int64_t) {
    const double smoothing = attributes.number("label_smoothing", 0, 0, most_label_smoothing);
    return {loss_op(LossKind::cross_entropy, smoothing)};
}

template <class O>
LayerOp plain(TomlReader&, std::int64_t) {
    return {O{}};
}

constexpr bool named = true;

constexpr std::array types{
    LayerType{"conv2d", conv2d, named},
    LayerType{"linear", linear, named},
    LayerType{"bias", plain<Bias>, named},
    LayerType{"batch_norm", batch_norm, named},
    LayerType{"layer_norm", layer_norm, named},
    LayerType{"dropout", dropout, named},
    LayerType{"relu", plain<Relu>},
    LayerType{"gelu", gelu},
    LayerType{"tanh", plain<Tanh>},
    LayerType{"sigmoid", plain<Sigmoid>},
    LayerType{"max_pool2d", max_pool},
    LayerType{"average_pool2d", average_pool},
    LayerType{"global_average_pool", plain<GlobalAveragePool>},
    LayerType{"flatten", plain<Flatten>},
    LayerType{"add", plain<Add>},
    LayerType{"concat", plain<Concat>},
    LayerType{"cross-entropy", cross_entropy},
    LayerType{"bce", plain<BceWithLogits>},
    LayerType{"mse", plain<MeanSquaredError>},
};

}  // namespace

std::span<const LayerType> layer_types() { return types; }

const LayerType* find_layer_type(std::string_view name) {
    const auto found =
        std::find_if(types.begin(), types.end(), [&](const LayerType& t) { return t.name == name; });
    return found == types.end() ? nullptr : &*found;
}

}  // namespace trireme::jobs
