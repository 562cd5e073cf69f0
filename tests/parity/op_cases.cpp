#include <fmt/format.h>

#include "layers/graph.hpp"
#include "tests/parity/op_case.hpp"

namespace trireme::parity {
namespace {

using layers::Activation;
using layers::Conv2d;
using layers::Linear;
using layers::Pool2d;
using layers::PoolKind;

/// A convolution that adds a residual, which has the shape of its output.
OpCase with_residual(Conv2d op, const Shape& input, const std::vector<std::int64_t>& batches) {
    op.residual = false;
    const Shape output = layers::infer_shape(op, {input});
    op.residual = true;
    return {op, input, batches, Values::plain, {output}};
}

/// Bare, with bias, with bias and relu, and a convolution with all that it can take in: the forms that graphs
/// have before and after the fusion.
template <class O>
void add_forms(std::vector<OpCase>& cases, O op, const Shape& input,
               const std::vector<std::int64_t>& batches) {
    cases.push_back({op, input, batches});
    op.bias = true;
    cases.push_back({op, input, batches});
    op.activation = Activation::relu;
    cases.push_back({op, input, batches});
    if constexpr (requires { op.residual; }) cases.push_back(with_residual(op, input, {batches.back()}));
}

struct ToleranceOf {
    Tolerance operator()(const Conv2d&) const { return {2e-6, 2e-6, 1e-5}; }
    Tolerance operator()(const Linear&) const { return {2e-6, 2e-6, 1e-5}; }
    Tolerance operator()(const layers::FeedForward&) const { return {5e-6, 5e-6, 1e-5}; }
    Tolerance operator()(const layers::ConvNormChain&) const { return {5e-6, 2e-5, 2e-5}; }
    Tolerance operator()(const layers::Bias&) const { return {1e-7, 0, 1e-5}; }
    Tolerance operator()(const layers::Relu&) const { return {0, 0, 0}; }
    Tolerance operator()(const layers::Tanh&) const { return {1e-6, 1e-6, 0}; }
    Tolerance operator()(const layers::Sigmoid&) const { return {1e-6, 1e-6, 0}; }
    Tolerance operator()(const Pool2d& op) const {
        // Overlapping windows add several gradients in one place; each window's maximum itself is copied.
        return op.kind == PoolKind::max ? Tolerance{0, 5e-7, 0} : Tolerance{5e-7, 5e-7, 0};
    }
    Tolerance operator()(const layers::Flatten&) const { return {0, 0, 0}; }
    Tolerance operator()(const layers::SoftmaxCrossEntropy&) const { return {2e-6, 5e-6, 0}; }
    // Deviations divide by small variances, and gradients are what is left of three sums.
    Tolerance operator()(const layers::BatchNorm&) const { return {5e-6, 2e-5, 2e-5}; }
    Tolerance operator()(const layers::LayerNorm&) const { return {5e-6, 2e-5, 2e-5}; }
    Tolerance operator()(const layers::Dropout&) const { return {1e-7, 1e-7, 0}; }
    Tolerance operator()(const layers::Add&) const { return {5e-7, 0, 0}; }
    Tolerance operator()(const layers::Concat&) const { return {0, 0, 0}; }
    Tolerance operator()(const layers::GlobalAveragePool&) const { return {2e-6, 1e-7, 0}; }
    Tolerance operator()(const layers::Gelu&) const { return {2e-6, 2e-6, 0}; }
    Tolerance operator()(const layers::BceWithLogits&) const { return {2e-6, 2e-6, 0}; }
    Tolerance operator()(const layers::MeanSquaredError&) const { return {2e-6, 5e-7, 0}; }
    Tolerance operator()(const layers::Embedding&) const { return {0, 0, 1e-6}; }
    Tolerance operator()(const layers::PositionEmbedding&) const { return {1e-7, 0, 1e-6}; }
    // Weights come from exponentials of sums, and their gradients are differences of sums.
    Tolerance operator()(const layers::CausalSelfAttention&) const { return {5e-6, 2e-5, 0}; }
};

}  // namespace

std::string OpCase::name() const {
    std::string text =
        fmt::format("{}({}) of {}", layers::name_of(op), layers::attributes_of(op), input.str());
    for (const Shape& more : more_inputs) text += " and " + more.str();
    if (more_dtype) text += fmt::format(" in {}", trireme::name_of(*more_dtype));
    return text + fmt::format(", {} to {}", trireme::name_of(input_dtype), trireme::name_of(output_dtype));
}

Tolerance tolerance_of(const OpCase& op_case, std::string_view provider) {
    Tolerance tolerance = std::visit(ToleranceOf{}, op_case.op);
    const auto is_in = [&](DType dtype) {
        return op_case.input_dtype == dtype || op_case.output_dtype == dtype || op_case.more_dtype == dtype;
    };
    const bool in_bf16 = is_in(DType::bf16);
    if (!in_bf16 && !is_in(DType::f16)) return tolerance;
    const double rounded_once = in_bf16 ? 4e-3 : 5e-4;
    const double rounded_products = in_bf16 ? 1e-2 : 1.25e-3;
    const double rounding = layers::multiplies_weight(op_case.op) ? rounded_products : rounded_once;
    tolerance.forward += rounding;
    tolerance.input_gradient += rounding;
    // oneDNN adds the gradients of overlapping windows in bf16.
    if (std::holds_alternative<Pool2d>(op_case.op)) tolerance.input_gradient += rounding;
    // In a chain each raw result, norm and gradient between links is rounded.
    if (std::holds_alternative<layers::ConvNormChain>(op_case.op)) {
        constexpr double of_gradients = 4;
        tolerance.forward += rounded_products;
        tolerance.input_gradient += of_gradients * rounded_products;
        tolerance.param_gradient += of_gradients * rounded_products;
    }
    // The values and the gradient between two products are rounded.
    if (std::holds_alternative<layers::FeedForward>(op_case.op)) tolerance.param_gradient += rounded_products;
    // An fp32 operand beside a bf16 one is rounded for the product.
    if (layers::multiplies_weight(op_case.op) && op_case.input_dtype != op_case.output_dtype) {
        tolerance.param_gradient += rounded_products;
    }
    if (provider == "cudnn" && std::holds_alternative<Conv2d>(op_case.op))
        tolerance.param_gradient += rounded_once;
    if (provider == "cudnn" && std::holds_alternative<layers::CausalSelfAttention>(op_case.op)) {
        tolerance.forward += rounded_products;
        tolerance.input_gradient += rounded_products;
    }
    return tolerance;
}

std::vector<OpCase> stored_as(DType half, const std::vector<OpCase>& cases) {
    std::vector<OpCase> stored;
    const auto add = [&](OpCase op_case, DType input, DType output) {
        op_case.input_dtype = input;
        op_case.output_dtype = output;
        stored.push_back(std::move(op_case));
    };
    for (const OpCase& op_case : cases) {
        add(op_case, half, half);
        add(op_case, DType::f32, half);
        add(op_case, half, DType::f32);
        if (op_case.more_inputs.empty()) continue;
        for (const DType input : {DType::f32, half}) {
            for (const DType output : {DType::f32, half}) {
                add(op_case, input, output);
                stored.back().more_dtype = input == DType::f32 ? half : DType::f32;
            }
        }
    }
    return stored;
}

std::vector<OpCase> convolution_cases() {
    std::vector<OpCase> cases;
    const std::vector<std::int64_t> batches{1, 3, 16};
    const std::vector<std::int64_t> small{1, 5};
    add_forms(cases, Conv2d{.out_channels = 20, .kernel = {5, 5}}, {28, 28, 1}, batches);
    add_forms(cases, Conv2d{.out_channels = 50, .kernel = {5, 5}}, {12, 12, 20}, batches);
    add_forms(cases, Conv2d{.out_channels = 32, .kernel = {3, 3}, .padding = {1, 1}}, {8, 8, 16}, batches);
    add_forms(cases, Conv2d{.out_channels = 64, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
              {9, 9, 64}, small);
    add_forms(cases, Conv2d{.out_channels = 16, .kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3}},
              {21, 17, 3}, small);
    add_forms(cases, Conv2d{.out_channels = 24}, {7, 7, 48}, batches);
    add_forms(cases, Conv2d{.out_channels = 8, .stride = {2, 2}}, {7, 8, 5}, small);
    // Kernels, strides and paddings that are not square, on images that are not either.
    add_forms(cases, Conv2d{.out_channels = 7, .kernel = {3, 5}, .stride = {1, 2}, .padding = {2, 1}},
              {11, 6, 3}, batches);
    add_forms(cases, Conv2d{.out_channels = 4, .kernel = {1, 4}, .stride = {3, 1}}, {10, 5, 6}, small);
    // Dilation, groups, depthwise.
    add_forms(cases, Conv2d{.out_channels = 9, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}},
              {10, 9, 6}, small);
    add_forms(cases, Conv2d{.out_channels = 6, .kernel = {2, 3}, .padding = {0, 3}, .dilation = {4, 3}},
              {11, 8, 4}, small);
    add_forms(cases, Conv2d{.out_channels = 12, .kernel = {3, 3}, .padding = {1, 1}, .groups = 3}, {8, 7, 6},
              small);
    add_forms(cases, Conv2d{.out_channels = 32, .kernel = {3, 3}, .padding = {1, 1}, .groups = 32},
              {9, 9, 32}, small);
    add_forms(cases,
              Conv2d{.out_channels = 8, .kernel = {3, 3}, .stride = {2, 2}, .dilation = {2, 2}, .groups = 2},
              {12, 13, 4}, small);
    // Depthwise with several outputs a channel, with stride, and dilated.
    add_forms(cases, Conv2d{.out_channels = 24, .kernel = {3, 3}, .padding = {1, 1}, .groups = 8}, {7, 9, 8},
              small);
    add_forms(cases,
              Conv2d{.out_channels = 16, .kernel = {5, 3}, .stride = {2, 2}, .padding = {2, 1}, .groups = 16},
              {12, 11, 16}, small);
    add_forms(cases,
              Conv2d{.out_channels = 8, .kernel = {3, 3}, .padding = {2, 3}, .dilation = {2, 3}, .groups = 8},
              {9, 10, 8}, small);
    // Small images of many channels, whose weight gradient is a product for each tap: with and without
    // padding, stride and dilation, and taps that reach beyond the image at every pixel.
    add_forms(cases, Conv2d{.out_channels = 64, .kernel = {3, 3}, .padding = {1, 1}}, {4, 4, 64}, small);
    add_forms(cases, Conv2d{.out_channels = 96, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}},
              {8, 7, 64}, small);
    add_forms(cases, Conv2d{.out_channels = 64, .kernel = {2, 3}}, {6, 8, 72}, small);
    add_forms(cases, Conv2d{.out_channels = 64, .kernel = {3, 3}, .padding = {3, 3}, .dilation = {3, 3}},
              {2, 3, 64}, small);
    // A residual without what else can be fused.
    cases.push_back(
        with_residual({.out_channels = 32, .kernel = {3, 3}, .padding = {1, 1}}, {8, 8, 16}, batches));
    cases.push_back(with_residual({.out_channels = 24, .activation = Activation::relu}, {7, 7, 48}, small));
    cases.push_back(with_residual({.out_channels = 5, .kernel = {3, 3}, .bias = true}, {6, 9, 3}, small));
    // The smallest there is, and a kernel as large as the padded image.
    add_forms(cases, Conv2d{.out_channels = 1}, {1, 1, 1}, small);
    add_forms(cases, Conv2d{.out_channels = 3, .kernel = {5, 4}, .padding = {1, 0}}, {3, 4, 2}, small);
    return cases;
}

std::vector<OpCase> linear_cases() {
    std::vector<OpCase> cases;
    add_forms(cases, Linear{.out_features = 500}, {800}, {1, 3, 64});
    add_forms(cases, Linear{.out_features = 10}, {500}, {1, 3, 64});
    add_forms(cases, Linear{.out_features = 17}, {13}, {1, 7, 32});
    add_forms(cases, Linear{.out_features = 1}, {1}, {1, 5});
    add_forms(cases, Linear{.out_features = 1}, {129}, {1, 9});
    add_forms(cases, Linear{.out_features = 33}, {5, 7, 12}, {1, 4});  // over the last axis of several
    return cases;
}

std::vector<OpCase> pool_cases() {
    std::vector<OpCase> cases;
    for (PoolKind kind : {PoolKind::max, PoolKind::average}) {
        for (Values values : {Values::plain, Values::tied}) {
            auto add = [&](Pool2d op, const Shape& input) {
                op.kind = kind;
                cases.push_back({op, input, {1, 3, 8}, values});
            };
            add({}, {24, 24, 20});
            add({}, {7, 9, 50});  // ragged
            add({.kernel = {3, 3}, .padding = {1, 1}}, {12, 11, 16});
            add({.kernel = {3, 2}, .stride = {1, 2}, .padding = {1, 0}}, {6, 9, 3});
            add({.kernel = {2, 3}, .stride = {3, 4}}, {10, 12, 1});  // gaps between the windows
            add({.kernel = {7, 7}, .stride = {1, 1}}, {7, 7, 33});   // the whole image
            add({.kernel = {1, 1}, .stride = {1, 1}}, {4, 3, 2});
            add({.activation = layers::Activation::relu}, {24, 24, 20});
            add({.kernel = {3, 3}, .padding = {1, 1}, .activation = layers::Activation::relu}, {12, 11, 17});
        }
    }
    return cases;
}

std::vector<OpCase> elementwise_cases() {
    std::vector<OpCase> cases;
    for (const layers::Op& op : std::vector<layers::Op>{layers::Relu{}, layers::Tanh{}, layers::Sigmoid{}}) {
        for (const Shape& input : {Shape{24, 24, 20}, Shape{500}, Shape{1}, Shape{3, 5}}) {
            cases.push_back({op, input});
            cases.push_back({op, input, {2}, Values::tied});
            cases.push_back({op, input, {2}, Values::large});
        }
    }
    for (const Shape& input : {Shape{24, 24, 20}, Shape{500}, Shape{1}, Shape{3, 5}}) {
        cases.push_back({layers::Bias{}, input});
    }
    for (const layers::Op& op : std::vector<layers::Op>{layers::Gelu{}, layers::Gelu{.tanh = true}}) {
        for (const Shape& input : {Shape{24, 24, 20}, Shape{500}, Shape{1}, Shape{3, 5}}) {
            cases.push_back({op, input});
            cases.push_back({op, input, {2}, Values::large});
        }
    }
    return cases;
}

std::vector<OpCase> loss_cases() {
    std::vector<OpCase> cases;
    for (double smoothing : {0.0, 0.1}) {
        const layers::Op loss = layers::SoftmaxCrossEntropy{smoothing};
        cases.push_back({loss, {10}, {1, 7, 64}});
        cases.push_back({loss, {2}, {1, 5}});
        cases.push_back({loss, {1}, {1, 3}});
        cases.push_back({loss, {1000}, {1, 4}});
        cases.push_back({loss, {10}, {1, 16}, Values::large});
        cases.push_back({loss, {6, 40}, {1, 5}});  // a class at each position
        cases.push_back({loss, {3, 2, 7}, {1, 4}});
        cases.push_back({loss, {64, 256}, {3}});
    }
    return cases;
}

std::vector<OpCase> vector_loss_cases() {
    std::vector<OpCase> cases;
    for (const layers::Op& loss :
         std::vector<layers::Op>{layers::BceWithLogits{}, layers::MeanSquaredError{}}) {
        cases.push_back({loss, {10}, {1, 7, 64}});
        cases.push_back({loss, {1}, {1, 5}});
        cases.push_back({loss, {257}, {1, 4}});
        cases.push_back({loss, {10}, {1, 16}, Values::large});
    }
    return cases;
}

/// No batch norm over a single value: its output is the bias whatever the input, and its input gradient what
/// rounding leaves of zero.
std::vector<OpCase> normalization_cases() {
    return {{layers::BatchNorm{}, {8, 8, 16}, {1, 3, 16}},
            {layers::BatchNorm{}, {7, 5, 3}, {2, 9}},
            {layers::BatchNorm{}, {33}, {4, 64}},
            {layers::BatchNorm{.eps = 0.01}, {16, 15, 1}, {1, 5}},
            {layers::BatchNorm{}, {4, 4, 65}, {2, 7}, Values::large},
            // With what a rewrite fuses: relu, residual, both; channels on all sides of a mask's words.
            {layers::BatchNorm{.activation = Activation::relu}, {8, 8, 64}, {1, 3, 16}},
            {layers::BatchNorm{.activation = Activation::relu}, {5, 6, 37}, {2, 8}},
            {layers::BatchNorm{.activation = Activation::relu}, {9, 7, 3}, {1, 30}},
            {layers::BatchNorm{.residual = true}, {7, 5, 16}, {2, 9}, Values::plain, {{7, 5, 16}}},
            {layers::BatchNorm{.residual = true, .activation = Activation::relu},
             {8, 8, 96},
             {1, 3, 16},
             Values::plain,
             {{8, 8, 96}}},
            {layers::BatchNorm{.residual = true, .activation = Activation::relu},
             {6, 3, 1},
             {2, 40},
             Values::plain,
             {{6, 3, 1}}},
            {layers::LayerNorm{}, {64}, {1, 7, 32}},
            {layers::LayerNorm{}, {9, 33}, {1, 5}},
            {layers::LayerNorm{.eps = 0.01}, {3, 4, 7}, {1, 5}},
            {layers::LayerNorm{}, {100}, {2, 16}, Values::large}};
}

std::vector<OpCase> dropout_cases() {
    return {{layers::Dropout{}, {24, 24, 20}},
            {layers::Dropout{0.1}, {501}},
            {layers::Dropout{0.9}, {7, 3}},
            {layers::Dropout{0}, {5}}};
}

std::vector<OpCase> joining_cases() {
    const Shape image{7, 5, 16};
    return {{layers::Add{}, image, {1, 3, 16}, Values::plain, {image}},
            {layers::Add{}, {33}, {1, 5}, Values::plain, {{33}, {33}, {33}}},
            {layers::Add{}, {1}, {1, 5}, Values::large, {{1}, {1}}},
            {layers::Concat{}, image, {1, 3, 16}, Values::plain, {image}},
            {layers::Concat{}, {7, 5, 3}, {1, 5}, Values::plain, {image, {7, 5, 1}}},
            {layers::Concat{}, {33}, {1, 5}, Values::plain, {{1}, {20}, {2}}}};
}

std::vector<OpCase> global_average_cases() {
    std::vector<OpCase> cases;
    for (const Shape& input : {Shape{7, 7, 64}, Shape{8, 5, 3}, Shape{1, 1, 9}, Shape{32, 32, 1}}) {
        cases.push_back({layers::GlobalAveragePool{}, input});
    }
    return cases;
}

std::vector<OpCase> embedding_cases() {
    return {{layers::Embedding{.vocabulary = 256, .features = 96}, {64}, {1, 5}},
            {layers::Embedding{.vocabulary = 5, .features = 7}, {9}, {1, 16}},  // every symbol many times
            {layers::Embedding{.vocabulary = 1000, .features = 33}, {2, 3}, {1, 3}},
            {layers::Embedding{.vocabulary = 1, .features = 1}, {1}, {1, 2}},
            {layers::PositionEmbedding{}, {64, 96}, {1, 3, 16}},
            {layers::PositionEmbedding{}, {5, 7}, {1, 9}},
            {layers::PositionEmbedding{}, {1, 1}, {1, 2}}};
}

/// Positions on all sides of the tiles' edges, and widths that vectors do not divide.
std::vector<OpCase> attention_cases() {
    const auto heads = [](std::int64_t count) { return layers::CausalSelfAttention{.heads = count}; };
    return {{heads(2), {8, 3 * 2 * 16}, {1, 3, 4}}, {heads(8), {256, 3 * 8 * 48}, {1}},
            {heads(2), {300, 3 * 2 * 64}, {2}},  // several tiles of keys
            {heads(1), {64, 3 * 5}, {1, 3}},        {heads(3), {65, 3 * 3 * 7}, {1, 2}},
            {heads(1), {257, 3 * 4}, {1, 3}},       {heads(1), {1, 3}, {1, 5}}};
}

std::vector<OpCase> feed_forward_cases() {
    std::vector<OpCase> cases;
    for (const auto inside : {layers::HiddenActivation::gelu_tanh, layers::HiddenActivation::relu}) {
        for (const std::int64_t hidden : {1, 8, 13, 129}) {
            const layers::FeedForward op{hidden, 5, inside};
            cases.push_back({op, {3, 16}, {1, 4}});
            cases.push_back({op, {7}, {1, 9}});
        }
        cases.push_back({layers::FeedForward{64, 16, inside}, {9, 16}, {3}});
    }
    for (OpCase& op_case : cases) op_case.param_values = DType::bf16;
    return cases;
}

/// Small: a value between links that lies nearer to a relu's kink than its rounding has the other side's
/// gradient, which no tolerance covers. In fp16 these cases have none.
std::vector<OpCase> conv_norm_chain_cases() {
    using layers::ChainResidual;
    using layers::ConvNorm;
    const auto link = [](std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1) {
        return ConvNorm{{.out_channels = channels,
                         .kernel = {kernel, kernel},
                         .stride = {stride, stride},
                         .padding = {kernel / 2, kernel / 2}},
                        {}};
    };
    ConvNorm uneven{{.out_channels = 9, .kernel = {2, 3}, .stride = {1, 2}, .padding = {1, 0}},
                    {.eps = 0.01, .momentum = 0.5}};
    std::vector<OpCase> cases;
    const auto add = [&](std::vector<ConvNorm> links, ChainResidual residual, Activation activation,
                         const Shape& input, const std::vector<std::int64_t>& batches) {
        layers::ConvNormChain op{std::move(links), ChainResidual::none, activation};
        OpCase op_case{op, input, batches};
        if (residual == ChainResidual::second) op_case.more_inputs = {layers::infer_shape(op, {input})};
        op.residual = residual;
        op_case.op = op;
        cases.push_back(std::move(op_case));
    };
    const Shape image{6, 5, 16};
    add({link(8, 3)}, ChainResidual::none, Activation::none, image, {1, 3});
    add({link(24, 1, 2)}, ChainResidual::second, Activation::relu, image, {3});
    add({link(8, 3), link(16, 3)}, ChainResidual::input, Activation::relu, image, {1, 4});
    add({link(16, 3, 2), link(16, 3)}, ChainResidual::second, Activation::relu, {8, 7, 8}, {3});
    add({link(8, 1), link(8, 3), link(16, 1)}, ChainResidual::input, Activation::relu, image, {2});
    add({link(8, 1), link(8, 3, 2), link(32, 1)}, ChainResidual::none, Activation::none, {9, 8, 16}, {1, 4});
    // Channels inside packs, rows inside lanes and chunks.
    add({link(13, 1), uneven, link(3, 3)}, ChainResidual::none, Activation::relu, {7, 9, 5}, {4});
    add({link(9, 3), link(5, 1)}, ChainResidual::input, Activation::none, {7, 5, 5}, {2});
    add({uneven, link(17, 3)}, ChainResidual::second, Activation::none, {6, 9, 7}, {2});
    return cases;
}

}  // namespace trireme::parity
