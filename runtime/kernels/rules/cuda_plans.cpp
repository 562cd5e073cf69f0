#include "runtime/kernels/rules/cuda_plans.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/kernels/cuda/bodies/embedding.hpp"
#include "runtime/kernels/cuda/bodies/layer_norm.hpp"
#include "runtime/kernels/cuda/bodies/losses.hpp"
#include "runtime/kernels/cuda/bodies/pool.hpp"

namespace trireme::cuda {
namespace {

template <class Plan = NodePlan>
Plan plan_named(std::string_view kind, const NodeView& view) {
    const DType dtype = view.compute_dtype();
    Plan plan;
    plan.rules.implementation =
        fmt::format("{}:{}", kind, dtype == DType::f32 ? "fp32" : (dtype == DType::bf16 ? "bf16" : "fp16"));
    return plan;
}

template <class T>
Bytes bytes_for(std::int64_t count) {
    return Bytes(count * static_cast<std::int64_t>(sizeof(T)));
}

/// Partial sums of `terms` sums over the rows of a tiling.
Bytes partial_sums(const Tiling& tiling, std::int64_t terms) {
    return bytes_for<double>(terms * tiling.partials());
}

/// Bit i: the gradient of input i may lie where that of the output does.
std::uint64_t inputs_like_output(const NodeView& view) {
    std::uint64_t bits = 0;
    for (std::size_t i = 0; i < std::min<std::size_t>(view.node.inputs.size(), 64); ++i) {
        if (view.input_dtype(i) == view.output_dtype()) bits |= std::uint64_t{1} << i;
    }
    return bits;
}

bool same_types(const NodeView& view) { return view.input_dtype() == view.output_dtype(); }

enum class Keeps { nothing, input, output };

/// An op whose elements do not know of each other.
template <class Plan = NodePlan>
Plan element_plan(const NodeView& view, Keeps keeps, std::string_view kind = "packs") {
    auto plan = plan_named<Plan>(kind, view);
    KernelNeeds& needs = plan.rules.needs;
    needs.forward_in_place = same_types(view);
    if (!view.request.training) return plan;
    needs.backward_reads_input = keeps == Keeps::input;
    needs.backward_reads_output = keeps == Keeps::output;
    needs.backward_in_place = inputs_like_output(view);
    return plan;
}

/// A parameter that is added to each row of a matrix.
ColumnPlan added_rows(const NodeView& view, std::int64_t rows, std::int64_t channels) {
    auto plan = element_plan<ColumnPlan>(view, Keeps::nothing, "tiles");
    plan.tiling = Tiling::of(1, rows, channels);
    if (view.request.training) plan.rules.needs.backward_scratch = partial_sums(plan.tiling, 1);
    return plan;
}

NodePlan loss_plan(const NodeView& view) {
    auto plan = plan_named("rows", view);
    plan.rules.needs.backward_reads_input = view.request.training;
    return plan;
}

}  // namespace

NodePlan plan_of(const layers::Relu&, const NodeView& view) { return element_plan(view, Keeps::output); }
NodePlan plan_of(const layers::Tanh&, const NodeView& view) { return element_plan(view, Keeps::output); }
NodePlan plan_of(const layers::Sigmoid&, const NodeView& view) { return element_plan(view, Keeps::output); }
NodePlan plan_of(const layers::Gelu&, const NodeView& view) { return element_plan(view, Keeps::input); }
NodePlan plan_of(const layers::Add&, const NodeView& view) { return element_plan(view, Keeps::nothing); }

NodePlan plan_of(const layers::Concat&, const NodeView& view) { return plan_named("copy", view); }

NodePlan plan_of(const layers::Dropout&, const NodeView& view) {
    NodePlan plan = element_plan(view, Keeps::nothing);
    if (!view.request.training) return plan;
    plan.rules.needs.saved = Bytes(packs_of(view.outputs()));
    plan.rules.needs.random_purpose = "dropout/" + view.node.name;
    return plan;
}

ColumnPlan plan_of(const layers::Bias&, const NodeView& view) {
    return added_rows(view, view.rows(), view.width());
}

ColumnPlan plan_of(const layers::PositionEmbedding&, const NodeView& view) {
    return added_rows(view, view.request.batch, view.input.elements().value);
}

NodePlan plan_of(const layers::Pool2d& op, const NodeView& view) {
    NodePlan plan = plan_named("windows", view);
    plan.rules.needs.backward_reads_output =
        view.request.training && op.activation != layers::Activation::none;
    if (view.request.training && op.kind == layers::PoolKind::max) {
        plan.rules.needs.saved = Bytes(view.outputs() * Winners::bytes_each(op.kernel[0] * op.kernel[1]));
    }
    return plan;
}

ColumnPlan plan_of(const layers::GlobalAveragePool&, const NodeView& view) {
    auto plan = plan_named<ColumnPlan>("tiles", view);
    plan.tiling = Tiling::of(view.request.batch, view.input[0] * view.input[1], view.input[2]);
    plan.rules.needs.forward_scratch = partial_sums(plan.tiling, 1);
    return plan;
}

BatchNormPlan plan_of(const layers::BatchNorm& op, const NodeView& view) {
    auto plan = element_plan<BatchNormPlan>(view, Keeps::input, "tiles");
    plan.tiling = Tiling::of(1, view.rows(), view.width());
    plan.mask_row_bytes = packs_of(view.width());
    if (!view.request.training) return plan;
    KernelNeeds& needs = plan.rules.needs;
    needs.forward_in_place = false;  // backward reads the input
    needs.backward_skips_inputs = op.residual ? 2 : 0;
    needs.forward_scratch = partial_sums(plan.tiling, 2);
    needs.backward_scratch = needs.forward_scratch;
    PartLayout saved;
    for (std::int64_t* part : {&plan.mean, &plan.inverse_deviation, &plan.sum, &plan.product})
        *part = saved.take<float>(view.width());
    if (op.activation == layers::Activation::relu)
        plan.mask = saved.take<std::uint8_t>(view.rows() * plan.mask_row_bytes);
    needs.saved = saved.total();
    return plan;
}

ColumnPlan plan_of(const layers::LayerNorm&, const NodeView& view) {
    auto plan = element_plan<ColumnPlan>(view, Keeps::input, "rows");
    plan.tiling = Tiling::of(1, view.rows(), view.width());
    if (!view.request.training) return plan;
    KernelNeeds& needs = plan.rules.needs;
    needs.forward_in_place = false;
    needs.saved = bytes_for<RowMoments>(view.rows());
    needs.backward_scratch = partial_sums(plan.tiling, 2);
    return plan;
}

NodePlan plan_of(const layers::SoftmaxCrossEntropy&, const NodeView& view) {
    NodePlan plan = loss_plan(view);
    if (view.rows() > view.request.batch) plan.rules.needs.forward_scratch = bytes_for<float>(view.rows());
    if (view.request.training) plan.rules.needs.saved = bytes_for<SoftmaxRow>(view.rows());
    return plan;
}

NodePlan plan_of(const layers::BceWithLogits&, const NodeView& view) { return loss_plan(view); }
NodePlan plan_of(const layers::MeanSquaredError&, const NodeView& view) { return loss_plan(view); }

SortPlan plan_of(const layers::Embedding& op, const NodeView& view) {
    auto plan = plan_named<SortPlan>("lookup", view);
    if (!view.request.training) return plan;
    plan.positions = view.request.batch * view.input.elements().value;
    plan.chunks = (plan.positions + DigitPass::chunk - 1) / DigitPass::chunk;
    // The vocabulary itself stands for symbols without a row.
    for (std::int64_t largest = op.vocabulary; largest > 0; largest /= DigitPass::digits) ++plan.passes;
    PartLayout scratch;
    for (int k = 0; k < 2; ++k) {
        plan.symbols[k] = scratch.take<std::int32_t>(plan.positions);
        plan.places[k] = scratch.take<std::int32_t>(plan.positions);
    }
    plan.offsets = scratch.take<std::int32_t>(DigitPass::digits * plan.chunks);
    // As short as the cap allows: a symbol's positions in a piece are one thread's walk.
    const auto parts = [&] { return 2 * plan.pieces() * op.features; };
    plan.piece = 32;
    while (plan.piece < plan.positions &&
           scratch.total() + bytes_for<float>(parts()) > view.request.workspace_cap)
        plan.piece *= 2;
    plan.parts = scratch.take<float>(parts());
    plan.rules.needs.backward_reads_input = true;
    plan.rules.needs.backward_scratch = scratch.total();
    return plan;
}

NodePlan plan_of(const layers::CausalSelfAttention& op, const NodeView& view) {
    NodePlan plan = plan_named("plain", view);
    if (!view.request.training) return plan;
    const std::int64_t rows = view.request.batch * op.heads * view.input[0];
    plan.rules.needs.backward_reads_input = true;
    plan.rules.needs.saved = bytes_for<SoftmaxRow>(rows);
    plan.rules.needs.backward_scratch = bytes_for<float>(rows);
    return plan;
}

ColumnPlan plan_of(const layers::Linear& op, const NodeView& view) {
    auto plan = plan_named<ColumnPlan>("plain", view);
    plan.tiling = Tiling::of(1, view.rows(), op.out_features);
    if (!view.request.training) return plan;
    plan.rules.needs.backward_reads_input = true;
    plan.rules.needs.backward_reads_output = op.activation != layers::Activation::none;
    if (op.bias) plan.rules.needs.backward_scratch = partial_sums(plan.tiling, 1);
    return plan;
}

}  // namespace trireme::cuda
