#include "runtime/kernels/rules/cublaslt_steps.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/kernels/node_view.hpp"
#include "runtime/kernels/rules/step_builder.hpp"

namespace trireme::cublaslt {
namespace {

NodeSteps build(const layers::Linear& op, const NodeView& view, const StepSizes& sizes) {
    StepBuilder build(view, sizes);
    const std::int64_t rows = view.rows();
    const std::int64_t in = view.width();
    const std::int64_t out = op.out_features;
    const bool relu = op.activation == layers::Activation::relu;
    const Matrix x = build.plain({Place::input}, view.input_dtype(), in);
    const Matrix y = build.plain({Place::output}, view.output_dtype(), out);
    const Matrix d_y = build.plain({Place::d_output}, view.output_dtype(), out);

    build.begin(&NodeSteps::forward);
    const Matrix weight = build.packed(0, out, in, &NodeSteps::pack_forward);
    Product forward{.rows = rows, .columns = out, .inner = in, .a = build.converted(x, rows, in)};
    forward.b = transposed(weight);
    forward.d = y;
    forward.epilogue = relu ? Epilogue::relu : Epilogue::none;
    if (op.bias) {
        forward.epilogue = relu ? Epilogue::relu_bias : Epilogue::bias;
        forward.vector = build.packed_vector(1, out, y.at.dtype);
    }
    build.add(forward);
    if (!view.request.training) return build.take("");

    build.needs().backward_reads_input = true;
    build.needs().backward_reads_output = relu;
    if (relu) build.add_relu_gradient(view.outputs(), view.output_dtype());
    build.begin(&NodeSteps::backward_weight);
    build.weight_gradient({rows, out, in}, d_y, x, 0, op.bias);
    if (view.request.input_gradient) {
        build.begin(&NodeSteps::backward_input);
        Product product{.rows = rows, .columns = in, .inner = out, .a = d_y};
        product.b = build.packed(0, out, in, &NodeSteps::pack_backward);
        product.d = build.plain({Place::d_input}, view.input_dtype(), in);
        build.in_row_pieces(product);
    }
    return build.take("");
}

/// The parts of `saved` (or, in evaluation, of the scratch) that lie between the two products.
struct Between {
    Matrix aux;
    Matrix h;  ///< and then d_u
};

Between between_of(const layers::FeedForward& op, StepBuilder& build, std::int64_t rows) {
    const std::int64_t hidden = op.hidden_features;
    const DType dtype = build.compute();
    const std::int64_t leading = round_up(hidden, 8);
    Between between;
    if (!build.training()) {
        between.h = build.scratch(rows, leading);
        return between;
    }
    Bytes& saved = build.needs().saved;
    const auto take = [&](Bytes size) {
        const std::int64_t at = saved.value;
        saved += aligned(size);
        return Operand{.place = Place::saved, .offset = at, .dtype = dtype};
    };
    if (op.activation_inside == layers::HiddenActivation::relu) {
        const std::int64_t bits = round_up(hidden, 128);
        between.aux = {take(Bytes(rows * bits / 8)), bits};
    } else {
        between.aux = {take(bytes_of(Elements(rows * leading), dtype)), leading};
    }
    between.h = {take(bytes_of(Elements(rows * leading), dtype)), leading};
    return between;
}

void add_forward(const layers::FeedForward& op, StepBuilder& build, const NodeView& view,
                 const Between& between) {
    const bool relu = op.activation_inside == layers::HiddenActivation::relu;
    const bool training = build.training();
    const std::int64_t rows = view.rows();
    const std::int64_t in = view.width();
    const Matrix x = build.plain({Place::input}, view.input_dtype(), in);
    Product first{
        .rows = rows, .columns = op.hidden_features, .inner = in, .a = build.converted(x, rows, in)};
    first.b = transposed(build.packed(0, op.hidden_features, in, &NodeSteps::pack_forward));
    first.vector = build.packed_vector(1, op.hidden_features, build.compute());
    first.d = between.h;
    first.aux = between.aux;
    first.epilogue = relu ? Epilogue::relu_bias : Epilogue::gelu_bias;
    if (training) first.epilogue = relu ? Epilogue::relu_aux_bias : Epilogue::gelu_aux_bias;
    build.add(first);

    Product second{.rows = rows, .columns = op.out_features, .inner = op.hidden_features, .a = between.h};
    second.b = transposed(build.packed(2, op.out_features, op.hidden_features, &NodeSteps::pack_forward));
    second.vector = build.packed_vector(3, op.out_features, view.output_dtype());
    second.d = build.plain({Place::output}, view.output_dtype(), op.out_features);
    second.epilogue = Epilogue::bias;
    build.add(second);
}

/// The second weight is converted at each launch: compute copies for backward are there only for
/// backward_input.
void add_weight_gradients(const layers::FeedForward& op, StepBuilder& build, const NodeView& view,
                          const Between& between) {
    const bool relu = op.activation_inside == layers::HiddenActivation::relu;
    const std::int64_t rows = view.rows();
    const std::int64_t in = view.width();
    const std::int64_t hidden = op.hidden_features;
    const std::int64_t out = op.out_features;
    const Matrix x = build.plain({Place::input}, view.input_dtype(), in);
    const Matrix d_y = build.plain({Place::d_output}, view.output_dtype(), out);
    build.weight_gradient({rows, out, hidden}, d_y, between.h, 2, true);

    const Matrix weight = build.plain({.place = Place::param, .index = 2}, DType::f32, hidden);
    Product d_u{.rows = rows, .columns = hidden, .inner = out, .a = d_y};
    d_u.b = build.converted(weight, out, hidden);
    d_u.d = between.h;
    d_u.aux = between.aux;
    d_u.epilogue = relu ? Epilogue::drelu : Epilogue::dgelu;
    build.in_row_pieces(d_u);

    build.weight_gradient({rows, hidden, in}, between.h, x, 0, true);
}

NodeSteps build(const layers::FeedForward& op, const NodeView& view, const StepSizes& sizes) {
    StepBuilder build(view, sizes);
    const std::int64_t rows = view.rows();
    const std::int64_t in = view.width();
    build.begin(&NodeSteps::forward);
    const Between between = between_of(op, build, rows);
    add_forward(op, build, view, between);
    const bool relu = op.activation_inside == layers::HiddenActivation::relu;
    if (!view.request.training) return build.take(relu ? " relu inside" : " gelu inside");

    build.needs().backward_reads_input = true;
    build.begin(&NodeSteps::backward_weight);
    add_weight_gradients(op, build, view, between);
    if (view.request.input_gradient) {
        build.begin(&NodeSteps::backward_input);
        Product product{.rows = rows, .columns = in, .inner = op.hidden_features, .a = between.h};
        product.b = build.packed(0, op.hidden_features, in, &NodeSteps::pack_backward);
        product.d = build.plain({Place::d_input}, view.input_dtype(), in);
        build.add(product);
    }
    return build.take(relu ? " relu and drelu inside" : " gelu and dgelu inside");
}

std::string refuse_types(const NodeView& view, const DeviceModel& device) {
    const DType input = view.input_dtype();
    const DType output = view.output_dtype();
    for (const DType dtype : {input, output}) {
        if (dtype != DType::f32 && !is_half(dtype))
            return fmt::format("elements are {}, products are made of f32, bf16 and f16",
                               trireme::name_of(dtype));
    }
    if (is_half(input) && is_half(output) && input != output) {
        return fmt::format("the input is {} and the output {}: one 16-bit type a product",
                           trireme::name_of(input), trireme::name_of(output));
    }
    if (device.sm < 80) {
        return fmt::format("compute capability {}.{}: 8.0 or newer is needed", device.sm / 10,
                           device.sm % 10);
    }
    return {};
}

std::string refuse_extents(const NodeView& view, std::int64_t widest) {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    if (view.rows() <= most && view.width() <= most && widest <= most) return {};
    return fmt::format("{} rows of {}, to {} features: cuBLASLt counts to {}", view.rows(), view.width(),
                       widest, most);
}

template <class O>
StepsOffer steps_within_cap(const O& op, const NodeView& view, const DeviceModel& device) {
    constexpr std::int64_t most_piece = std::int64_t{256} << 20;
    constexpr std::int64_t workspace_unit = 256;
    const std::int64_t cap = view.request.workspace_cap.value;
    StepSizes sizes{advised_workspace(device.sm), Bytes(std::min(most_piece, cap / 2)),
                    device.tf32 ? Multiply::tf32 : Multiply::fp32};
    NodeSteps steps = build(op, view, sizes);
    const auto scratch = [&] {
        const KernelNeeds& needs = steps.rules.needs;
        return std::max(needs.forward_scratch, needs.backward_scratch);
    };
    if (scratch().value > cap) {
        const std::int64_t excess = round_up(scratch().value - cap, workspace_unit);
        sizes.workspace = Bytes(std::max<std::int64_t>(0, sizes.workspace.value - excess));
        steps = build(op, view, sizes);
    }
    if (scratch().value <= cap) return {std::move(steps), ""};
    return {std::nullopt, fmt::format("workspace of {} over the cap of {} (job.workspace_mb)",
                                      human_bytes(scratch()), human_bytes(view.request.workspace_cap))};
}

}  // namespace

Bytes advised_workspace(int sm) {
    constexpr std::int64_t mebibyte = std::int64_t{1} << 20;
    if (sm >= 120) return Bytes(12 * mebibyte);
    return Bytes((sm >= 90 ? 32 : 4) * mebibyte);
}

StepsOffer steps_of(const KernelRequest& request, const DeviceModel& device) {
    ensure(request.graph != nullptr && request.batch >= 1, "a kernel request has a graph and a batch");
    const NodeView view(request);
    const auto* linear = std::get_if<layers::Linear>(&view.node.op);
    const auto* feed_forward = std::get_if<layers::FeedForward>(&view.node.op);
    if (linear == nullptr && feed_forward == nullptr)
        return {std::nullopt, "cuBLASLt has products of matrices: linear layers and feed-forwards"};
    if (std::string reason = refuse_types(view, device); !reason.empty())
        return {std::nullopt, std::move(reason)};
    const std::int64_t widest = linear != nullptr
                                    ? linear->out_features
                                    : std::max(feed_forward->hidden_features, feed_forward->out_features);
    if (std::string reason = refuse_extents(view, widest); !reason.empty())
        return {std::nullopt, std::move(reason)};
    return linear != nullptr ? steps_within_cap(*linear, view, device)
                             : steps_within_cap(*feed_forward, view, device);
}

}  // namespace trireme::cublaslt
