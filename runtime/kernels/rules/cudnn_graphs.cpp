#include "runtime/kernels/rules/cudnn_graphs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme::cudnn {
namespace {

using Extents = std::array<std::int64_t, 4>;

/// A tensor whose channels, its second axis, lie innermost.
GraphTensor channels_last(std::string_view name, const Extents& e, DType dtype, bool written = false) {
    return {name, e, {e[1] * e[2] * e[3], 1, e[1] * e[3], e[1]}, dtype, written};
}

GraphTensor written(GraphTensor tensor) {
    tensor.written = true;
    return tensor;
}

/// The tensors of a convolution by their roles.
struct ConvTensors {
    const GraphSpec& spec;
    const ConvGeometry& g = spec.conv;

    [[nodiscard]] GraphTensor image(std::string_view name) const {
        return channels_last(name, {g.batch, g.channels, g.input[0], g.input[1]}, spec.dtype);
    }
    [[nodiscard]] GraphTensor result(std::string_view name) const {
        return channels_last(name, {g.batch, g.out_channels, g.output[0], g.output[1]}, spec.dtype);
    }
    [[nodiscard]] GraphTensor weight(std::string_view name) const {
        return channels_last(name, {g.out_channels, g.channels_in_group(), g.kernel[0], g.kernel[1]},
                             spec.dtype);
    }
    [[nodiscard]] GraphTensor vector(std::string_view name, std::int64_t size, DType dtype) const {
        return channels_last(name, {1, size, 1, 1}, dtype);
    }
    /// Sums over the values of a channel.
    [[nodiscard]] GraphTensor sums(std::string_view name, std::int64_t size) const {
        return written(vector(name, size, DType::f32));
    }
};

std::vector<GraphTensor> conv_tensors(const GraphSpec& spec) {
    const ConvTensors t{spec};
    const std::int64_t in = spec.conv.channels;
    const std::int64_t out = spec.conv.out_channels;
    switch (spec.kind) {
        case GraphKind::conv_input_gradient:
            return {t.result("d_y"), t.weight("w"), written(t.image("d_x"))};
        case GraphKind::conv_weight_gradient:
            return {t.image("x"), t.result("d_y"), written(t.weight("d_w"))};
        case GraphKind::conv_statistics:
            return {t.image("x"), t.weight("w"), written(t.result("y")), t.sums("sum", out),
                    t.sums("squares", out)};
        case GraphKind::normalized_conv_statistics:
            return {t.image("x"),
                    t.vector("scale", in, spec.dtype),
                    t.vector("shift", in, spec.dtype),
                    t.weight("w"),
                    written(t.result("y")),
                    t.sums("sum", out),
                    t.sums("squares", out)};
        case GraphKind::normalized_weight_gradient:
            return {t.image("x"), t.vector("scale", in, spec.dtype), t.vector("shift", in, spec.dtype),
                    t.result("d_y"), written(t.weight("d_w"))};
        case GraphKind::input_gradient_norm_sums: {
            std::vector<GraphTensor> tensors{t.result("d_y"), t.weight("w"), t.image("x")};
            for (const std::string_view name : {"mean", "deviation", "scale", "shift"})
                tensors.push_back(t.vector(name, in, DType::f32));
            tensors.push_back(written(t.image("d")));
            for (const std::string_view name : {"d_scale", "d_shift", "from_d", "from_x", "constant"})
                tensors.push_back(t.sums(name, in));
            return tensors;
        }
        default: {
            std::vector<GraphTensor> tensors{t.image("x"), t.weight("w")};
            if (spec.bias) tensors.push_back(t.vector("bias", out, spec.dtype));
            if (spec.residual) tensors.push_back(t.result("residual"));
            tensors.push_back(written(t.result("y")));
            return tensors;
        }
    }
}

std::vector<GraphTensor> attention_tensors(const GraphSpec& spec) {
    const AttentionGeometry& g = spec.attention;
    const auto rows = [&](std::string_view name, std::int64_t parts) {
        const std::int64_t row = parts * g.heads * g.width;
        return GraphTensor{name,
                           {g.batch, g.heads, g.positions, g.width},
                           {g.positions * row, g.width, row, 1},
                           spec.dtype,
                           false};
    };
    const GraphTensor stats{"stats",
                            {g.batch, g.heads, g.positions, 1},
                            {g.heads * g.positions, g.positions, 1, 1},
                            DType::f32,
                            false};
    std::vector<GraphTensor> tensors{rows("q", 3), rows("k", 3), rows("v", 3)};
    if (spec.kind == GraphKind::attention_forward) {
        tensors.push_back(written(rows("out", 1)));
        if (spec.keeps) tensors.push_back(written(stats));
        return tensors;
    }
    tensors.push_back(rows("out", 1));
    tensors.push_back(rows("d_out", 1));
    tensors.push_back(stats);
    for (const std::string_view name : {"d_q", "d_k", "d_v"}) tensors.push_back(written(rows(name, 3)));
    return tensors;
}

std::string pair(std::string_view name, const std::array<std::int64_t, 2>& values, std::int64_t usual) {
    if (values[0] == usual && values[1] == usual) return {};
    return fmt::format(" {} {}x{}", name, values[0], values[1]);
}

std::string text_of(const ConvGeometry& g) {
    std::string text =
        fmt::format(" {} x {}x{}x{} -> {}x{}x{} kernel {}x{}", g.batch, g.input[0], g.input[1], g.channels,
                    g.output[0], g.output[1], g.out_channels, g.kernel[0], g.kernel[1]);
    text += pair("stride", g.stride, 1) + pair("padding", g.padding, 0) + pair("dilation", g.dilation, 1);
    if (g.groups > 1) text += fmt::format(" groups {}", g.groups);
    return text;
}

}  // namespace

std::string_view name_of(GraphKind kind) {
    switch (kind) {
        case GraphKind::conv_forward:
            return "conv_forward";
        case GraphKind::conv_input_gradient:
            return "conv_input_gradient";
        case GraphKind::conv_weight_gradient:
            return "conv_weight_gradient";
        case GraphKind::attention_forward:
            return "attention_forward";
        case GraphKind::attention_backward:
            return "attention_backward";
        case GraphKind::conv_statistics:
            return "conv_statistics";
        case GraphKind::normalized_conv_statistics:
            return "normalized_conv_statistics";
        case GraphKind::normalized_weight_gradient:
            return "normalized_weight_gradient";
        case GraphKind::input_gradient_norm_sums:
            return "input_gradient_norm_sums";
    }
    return "?";
}

std::string GraphSpec::str() const {
    std::string text = fmt::format("{} {}", trireme::cudnn::name_of(kind), trireme::name_of(dtype));
    if (is_attention()) {
        text += fmt::format(" {} x {} heads of {} x {}", attention.batch, attention.heads,
                            attention.positions, attention.width);
    } else {
        text += text_of(conv);
    }
    if (bias) text += " bias";
    if (residual) text += " residual";
    if (relu) text += " relu";
    if (keeps) text += " keeps";
    if (dtype == DType::f32 && !tf32) text += " no-tf32";
    if (deterministic) text += " deterministic";
    return text + fmt::format(" workspace {}", workspace);
}

std::int64_t GraphTensor::bytes() const {
    std::int64_t last = 0;
    for (std::size_t axis = 0; axis < extents.size(); ++axis) last += (extents[axis] - 1) * strides[axis];
    return (last + 1) * size_of(dtype);
}

std::vector<GraphTensor> tensors_of(const GraphSpec& spec) {
    return spec.is_attention() ? attention_tensors(spec) : conv_tensors(spec);
}

}  // namespace trireme::cudnn
