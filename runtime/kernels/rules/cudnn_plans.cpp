#include "runtime/kernels/rules/cudnn_plans.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cuda_choice.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"

namespace trireme::cudnn {
namespace {

/// Compute copies of weights, and what the samples become, have rows of whole vectors for tensor cores.
constexpr std::int64_t vector_bytes = 16;

/// cuDNN copies the operand into channels that fill whole vectors, and the result out of such.
bool is_ragged(std::int64_t channels, DType dtype) { return channels % (vector_bytes / size_of(dtype)) != 0; }

/// The copy has channels in eights, as was seen, in fp32 too.
std::int64_t padded_bytes(std::int64_t elements, std::int64_t channels, DType dtype) {
    return elements / channels * round_up(channels, vector_bytes / 2) * size_of(dtype);
}

std::int64_t usual_of_conv(const GraphSpec& spec, int sm) {
    constexpr std::int64_t partial_sums = std::int64_t{16} << 20;
    constexpr int newest_copying_fp32 = 89;
    const ConvGeometry& g = spec.conv;
    const bool weight = spec.kind == GraphKind::conv_weight_gradient;
    const bool reads_x = spec.kind != GraphKind::conv_input_gradient;
    const bool reads_y = spec.kind != GraphKind::conv_forward;
    const bool ragged_x = is_ragged(g.channels, spec.dtype);
    const bool ragged_y = is_ragged(g.out_channels, spec.dtype);
    bool copies_x = ragged_x || g.groups > 1;
    bool copies_y = ragged_y || g.groups > 1;
    if (spec.dtype == DType::f32 && sm <= newest_copying_fp32) {
        copies_x = copies_x || reads_x;
        copies_y = copies_y || reads_y;
    } else if (spec.dtype == DType::f32 && weight && (ragged_x || ragged_y)) {
        copies_x = copies_y = true;
    }
    std::int64_t bytes = partial_sums + 2 * g.weights() * size_of(DType::f32);
    if (copies_x) bytes += padded_bytes(g.inputs(), g.channels, spec.dtype);
    if (copies_y) bytes += padded_bytes(g.outputs(), g.out_channels, spec.dtype);
    return bytes;
}

/// Backward sums the queries' gradient in fp32: in two buffers, or, for the same bits each time, in one for
/// each block of keys, whose rows are 64 wide.
std::int64_t usual_of_attention(const GraphSpec& spec) {
    constexpr std::int64_t block = 128;
    constexpr std::int64_t split_width = 64;
    constexpr std::int64_t odds = std::int64_t{64} << 10;
    const AttentionGeometry& g = spec.attention;
    if (spec.kind == GraphKind::attention_forward) return odds;
    const std::int64_t sums = 2 * g.rows() * size_of(DType::f32);
    if (!spec.deterministic) return odds + sums + 2 * g.rows() * g.width * size_of(DType::f32);
    const std::int64_t blocks = (g.positions + block - 1) / block;
    return odds + sums + blocks * blocks * block * g.batch * g.heads * split_width * size_of(DType::f32);
}

std::string refuse_types(const NodeView& view) {
    std::vector<DType> types{view.output_dtype()};
    for (std::size_t i = 0; i < view.node.inputs.size(); ++i) types.push_back(view.input_dtype(i));
    std::optional<DType> half;
    for (const DType dtype : types) {
        if (dtype != DType::f32 && !is_half(dtype))
            return fmt::format("elements are {}, cuDNN is given f32, bf16 and f16", trireme::name_of(dtype));
        if (!is_half(dtype)) continue;
        if (half && *half != dtype) return "two 16-bit types in one node";
        half = dtype;
    }
    return {};
}

/// Lays out one pass's scratch: the parts, and behind them a workspace as large as is usual or as the cap
/// leaves.
class PassLayout {
  public:
    PassLayout(PassParts& parts, GraphSpec& spec, Bytes& needed, std::string& refusal)
        : parts_(parts), spec_(spec), needed_(needed), refusal_(refusal) {}

    void copy_where(bool wanted, std::optional<std::int64_t> PassParts::*part, std::int64_t elements,
                    DType dtype) {
        if (!wanted) return;
        parts_.*part = total_;
        total_ += aligned(bytes_of(Elements(elements), dtype)).value;
    }
    /// `least`: bytes that the workspace must have for sums of our own.
    void finish(int sm, Bytes cap, std::int64_t least = 0) {
        parts_.workspace = total_;
        const std::int64_t left = cap.value - total_ - workspace_reserve;
        if (left < least) {
            refusal_ = over_cap(total_ + workspace_reserve + least, cap);
            return;
        }
        spec_.workspace = std::min(usual_workspace(spec_, sm), left);
        needed_ = std::max(needed_, Bytes(total_ + workspace_reserve + std::max(spec_.workspace, least)));
    }

  private:
    PassParts& parts_;
    GraphSpec& spec_;
    Bytes& needed_;
    std::string& refusal_;
    std::int64_t total_ = 0;
};

class ConvPlanner {
  public:
    ConvPlanner(const layers::Conv2d& op, const NodeView& view, const DeviceModel& device)
        : op_(op), view_(view), device_(device), cap_(view.request.workspace_cap) {
        plan_.compute = view.compute_dtype();
        plan_.forward.conv = geometry_of(op, view.request.batch, view.input, view.output);
        plan_.forward.dtype = plan_.compute;
        plan_.forward.deterministic = device.deterministic;
        plan_.forward.tf32 = device.tf32;
        const ConvGeometry& g = plan_.forward.conv;
        plan_.master_weights =
            plan_.compute == DType::f32 && (g.kernel[0] * g.kernel[1] == 1 || g.channels_in_group() == 1);
    }

    [[nodiscard]] PlanOffer<ConvPlan> make() {
        plan_forward();
        if (view_.request.training) plan_backward();
        plan_.rules.implementation = fmt::format("conv:{}{}", precision_name(plan_.compute, device_.tf32),
                                                 plan_.residual_behind ? " residual behind"
                                                 : plan_.forward.relu  ? " relu inside"
                                                                       : "");
        if (!refusal_.empty()) return {std::nullopt, std::move(refusal_)};
        return {std::move(plan_), ""};
    }

  private:
    [[nodiscard]] bool differs(DType dtype) const { return dtype != plan_.compute; }
    [[nodiscard]] const ConvGeometry& geometry() const { return plan_.forward.conv; }
    [[nodiscard]] KernelNeeds& needs() { return plan_.rules.needs; }
    [[nodiscard]] bool has_residual() const { return view_.node.inputs.size() > 1; }

    void plan_forward() {
        GraphSpec& spec = plan_.forward;
        plan_.relu = op_.activation == layers::Activation::relu;
        plan_.residual_behind =
            has_residual() && !adds_residual_inside(plan_.compute, device_.tf32, device_.cudnn);
        spec.bias = op_.bias;
        spec.residual = has_residual() && !plan_.residual_behind;
        spec.relu = plan_.relu && !plan_.residual_behind;
        PassLayout layout(plan_.forward_parts, spec, needs().forward_scratch, refusal_);
        layout.copy_where(differs(view_.input_dtype()), &PassParts::x, geometry().inputs(), plan_.compute);
        layout.copy_where(spec.residual && differs(view_.input_dtype(1)), &PassParts::residual,
                          geometry().outputs(), plan_.compute);
        layout.copy_where(differs(view_.output_dtype()), &PassParts::y, geometry().outputs(), plan_.compute);
        layout.finish(device_.sm, cap_);
        if (plan_.master_weights) return;
        const Bytes weights = aligned(bytes_of(Elements(geometry().weights()), plan_.compute));
        needs().forward_weights = weights;
        if (!op_.bias || plan_.compute == DType::f32) return;
        plan_.bias_copy = weights.value;
        needs().forward_weights += aligned(bytes_of(Elements(op_.out_channels), plan_.compute));
    }

    [[nodiscard]] GraphSpec backward_spec(GraphKind kind) const {
        GraphSpec spec = plan_.forward;
        spec.kind = kind;
        spec.bias = spec.residual = spec.relu = false;
        return spec;
    }

    void plan_backward() {
        needs().backward_reads_input = true;
        needs().backward_reads_output = plan_.relu;
        if (has_residual()) {
            needs().backward_skips_inputs = 2;
            if (view_.input_dtype(1) == view_.output_dtype()) needs().backward_in_place = 2;
        }
        plan_.weight_gradient = backward_spec(GraphKind::conv_weight_gradient);
        PassLayout weight(plan_.weight_parts, *plan_.weight_gradient, needs().backward_scratch, refusal_);
        weight.copy_where(differs(view_.input_dtype()), &PassParts::x, geometry().inputs(), plan_.compute);
        weight.copy_where(differs(view_.output_dtype()), &PassParts::d_y, geometry().outputs(),
                          plan_.compute);
        weight.copy_where(!plan_.master_weights, &PassParts::d_w, geometry().weights(), plan_.compute);
        std::int64_t sums = 0;
        if (op_.bias) {
            plan_.bias_tiling =
                cuda::Tiling::of(1, geometry().outputs() / op_.out_channels, op_.out_channels);
            sums = plan_.bias_tiling.partials() * static_cast<std::int64_t>(sizeof(double));
        }
        weight.finish(device_.sm, cap_, sums);
        if (!view_.request.input_gradient) return;

        plan_.input_gradient = backward_spec(GraphKind::conv_input_gradient);
        PassLayout input(plan_.input_parts, *plan_.input_gradient, needs().backward_scratch, refusal_);
        input.copy_where(differs(view_.output_dtype()), &PassParts::d_y, geometry().outputs(), plan_.compute);
        input.copy_where(differs(view_.input_dtype()), &PassParts::d_x, geometry().inputs(), plan_.compute);
        input.finish(device_.sm, cap_);
        if (!plan_.master_weights)
            needs().backward_weights = aligned(bytes_of(Elements(geometry().weights()), plan_.compute));
    }

    const layers::Conv2d& op_;
    const NodeView& view_;
    const DeviceModel& device_;
    Bytes cap_;
    ConvPlan plan_;
    std::string refusal_;
};

std::string refuse_attention(const AttentionGeometry& g, const NodeView& view, const DeviceModel& device) {
    if (!is_half(view.input_dtype()) || view.input_dtype() != view.output_dtype()) {
        return fmt::format("elements are {} and {}: cuDNN's attention is of bf16 or fp16 throughout",
                           trireme::name_of(view.input_dtype()), trireme::name_of(view.output_dtype()));
    }
    if (g.width % 8 != 0) return fmt::format("heads are {} wide: cuDNN takes multiples of 8", g.width);
    const std::int64_t widest = device.sm == 90 || !view.request.training ? 256 : 128;
    if (g.width > widest)
        return fmt::format("heads are {} wide: cuDNN takes {} at most here", g.width, widest);
    if (view.request.training && g.positions < 2) return "cuDNN has no gradient for one position";
    return {};
}

}  // namespace

std::string_view precision_name(DType dtype, bool tf32) {
    if (dtype == DType::bf16) return "bf16";
    if (dtype == DType::f16) return "fp16";
    return tf32 ? "tf32" : "fp32";
}

std::string over_cap(std::int64_t needed, Bytes cap) {
    return fmt::format("workspace of {} over the cap of {} (job.workspace_mb)", human_bytes(Bytes(needed)),
                       human_bytes(cap));
}

std::string refuse_device(const DeviceModel& device) {
    if (device.cudnn < cuda::oldest_cudnn) {
        return fmt::format("cuDNN {} is older than {}", cuda::cudnn_version_text(device.cudnn),
                           cuda::cudnn_version_text(cuda::oldest_cudnn));
    }
    if (device.sm >= cuda::oldest_sm) return {};
    return fmt::format("compute capability {}.{}: 8.0 or newer is needed", device.sm / 10, device.sm % 10);
}

ConvGeometry geometry_of(const layers::Conv2d& op, std::int64_t batch, const Shape& input,
                         const Shape& output) {
    ConvGeometry g;
    g.batch = batch;
    g.input = {input[0], input[1]};
    g.output = {output[0], output[1]};
    g.channels = input[2];
    g.out_channels = op.out_channels;
    g.kernel = op.kernel;
    g.stride = op.stride;
    g.padding = op.padding;
    g.dilation = op.dilation;
    g.groups = op.groups;
    return g;
}

bool adds_residual_inside(DType compute, bool tf32, std::int64_t cudnn) {
    constexpr std::int64_t first_in_fp32 = 91801;
    return compute != DType::f32 || tf32 || cudnn >= first_in_fp32;
}

std::int64_t usual_workspace(const GraphSpec& spec, int sm) {
    return spec.is_attention() ? usual_of_attention(spec) : usual_of_conv(spec, sm);
}

PlanOffer<ConvPlan> plan_of(const layers::Conv2d& op, const NodeView& view, const DeviceModel& device) {
    if (std::string why = refuse_device(device); !why.empty()) return {std::nullopt, std::move(why)};
    if (std::string why = refuse_types(view); !why.empty()) return {std::nullopt, std::move(why)};
    return ConvPlanner(op, view, device).make();
}

PlanOffer<AttentionPlan> plan_of(const layers::CausalSelfAttention& op, const NodeView& view,
                                 const DeviceModel& device) {
    if (std::string why = refuse_device(device); !why.empty()) return {std::nullopt, std::move(why)};
    AttentionPlan plan;
    plan.forward.kind = GraphKind::attention_forward;
    plan.forward.dtype = view.input_dtype();
    plan.forward.attention = {view.request.batch, op.heads, view.input[0], view.output[1] / op.heads};
    plan.forward.keeps = view.request.training;
    plan.forward.deterministic = device.deterministic;
    const AttentionGeometry& g = plan.forward.attention;
    if (std::string why = refuse_attention(g, view, device); !why.empty())
        return {std::nullopt, std::move(why)};

    std::string refusal;
    PassParts parts;
    KernelNeeds& needs = plan.rules.needs;
    const auto add = [&](GraphSpec& spec, Bytes& scratch) {
        // A plan of attention has no smaller workspace to fall back on.
        PassLayout(parts, spec, scratch, refusal)
            .finish(device.sm, view.request.workspace_cap, usual_workspace(spec, device.sm));
    };
    add(plan.forward, needs.forward_scratch);
    if (view.request.training) {
        plan.backward = plan.forward;
        plan.backward->kind = GraphKind::attention_backward;
        plan.backward->keeps = false;
        add(*plan.backward, needs.backward_scratch);
        needs.backward_reads_input = true;
        needs.backward_reads_output = true;
        needs.saved = bytes_of(Elements(g.rows()), DType::f32);
    }
    if (!refusal.empty()) return {std::nullopt, std::move(refusal)};
    plan.rules.implementation = fmt::format("attention:{}", precision_name(plan.forward.dtype, false));
    return {std::move(plan), ""};
}

std::vector<GraphSpec> graphs_of(const KernelRequest& request, const DeviceModel& device) {
    const NodeView view(request);
    std::vector<GraphSpec> graphs;
    const auto add = [&](const std::optional<GraphSpec>& spec) {
        if (spec) graphs.push_back(*spec);
    };
    if (const auto* conv = std::get_if<layers::Conv2d>(&view.node.op)) {
        if (const auto offer = plan_of(*conv, view, device); offer.plan) {
            add(offer.plan->forward);
            add(offer.plan->weight_gradient);
            add(offer.plan->input_gradient);
        }
    } else if (const auto* chain = std::get_if<layers::ConvNormChain>(&view.node.op)) {
        if (const auto offer = plan_of(*chain, view, device); offer.plan) graphs = graphs_of(*offer.plan);
    } else if (const auto* attention = std::get_if<layers::CausalSelfAttention>(&view.node.op)) {
        if (const auto offer = plan_of(*attention, view, device); offer.plan) {
            add(offer.plan->forward);
            add(offer.plan->backward);
        }
    }
    return graphs;
}

}  // namespace trireme::cudnn
