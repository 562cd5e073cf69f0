#include "runtime/kernels/rules/cudnn_chain_plans.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/kernels/rules/cuda_plans.hpp"

namespace trireme::cudnn {
namespace {

using layers::ChainResidual;

/// Partial sums of moments, or of a norm's gradients.
std::int64_t partial_bytes(const cuda::Tiling& tiling) {
    return 2 * tiling.partials() * static_cast<std::int64_t>(sizeof(double));
}

std::string refuse_mixed_types(const NodeView& view) {
    for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
        if (view.input_dtype(i) == view.output_dtype()) continue;
        return fmt::format("a chain has one element type, not {} and {}",
                           trireme::name_of(view.input_dtype(i)), trireme::name_of(view.output_dtype()));
    }
    return {};
}

class ChainPlanner {
  public:
    ChainPlanner(const layers::ConvNormChain& op, const NodeView& view, const DeviceModel& device)
        : op_(op), view_(view), device_(device) {
        plan_.dtype = view.output_dtype();
        plan_.training = view.request.training;
    }

    [[nodiscard]] PlanOffer<ChainPlan> make() {
        add_links();
        plan_saved();
        plan_forward_scratch();
        if (plan_.training) plan_backward_scratch();
        plan_.rules.implementation =
            fmt::format("chain:{} of {}", precision_name(plan_.dtype, device_.tf32), plan_.links.size());
        if (!refusal_.empty()) return {std::nullopt, std::move(refusal_)};
        return {std::move(plan_), ""};
    }

  private:
    [[nodiscard]] KernelNeeds& needs() { return plan_.rules.needs; }
    [[nodiscard]] Bytes bytes(std::int64_t elements) const {
        return bytes_of(Elements(elements), plan_.dtype);
    }
    [[nodiscard]] GraphSpec spec(GraphKind kind, const ConvGeometry& geometry) const {
        GraphSpec spec;
        spec.kind = kind;
        spec.dtype = plan_.dtype;
        spec.conv = geometry;
        spec.deterministic = device_.deterministic;
        spec.tf32 = device_.tf32;
        return spec;
    }

    void add_links() {
        const std::vector<Shape> shapes = layers::shapes_along(op_, view_.input);
        for (std::size_t k = 0; k < op_.links.size(); ++k) {
            const ConvGeometry g =
                geometry_of(op_.links[k].conv, view_.request.batch, shapes[k], shapes[k + 1]);
            ChainLinkPlan link;
            link.tiling = cuda::Tiling::of(1, g.outputs() / g.out_channels, g.out_channels);
            link.forward.plain = spec(GraphKind::conv_forward, g);
            link.weights = needs().forward_weights.value;
            needs().forward_weights += aligned(bytes(g.weights()));
            if (plan_.training) add_training(link, g, k > 0);
            plan_.links.push_back(std::move(link));
        }
    }

    void add_training(ChainLinkPlan& link, const ConvGeometry& g, bool inner) const {
        link.forward.joined =
            spec(inner ? GraphKind::normalized_conv_statistics : GraphKind::conv_statistics, g);
        link.weight_gradient.plain = spec(GraphKind::conv_weight_gradient, g);
        if (inner) link.weight_gradient.joined = spec(GraphKind::normalized_weight_gradient, g);
        if (!inner && !view_.request.input_gradient) return;
        link.input_gradient = JoinedGraph{std::nullopt, spec(GraphKind::conv_input_gradient, g)};
        // Before sm_90 cuDNN has the gradient in fp32 in the workspace: more traffic than the pass it saves.
        constexpr int oldest_with_sums = 90;
        if (inner && device_.sm >= oldest_with_sums)
            link.input_gradient->joined = spec(GraphKind::input_gradient_norm_sums, g);
    }

    void plan_saved() {
        if (!plan_.training) return;
        cuda::PartLayout saved;
        const auto take = [&](std::int64_t elements) { return saved.take<std::byte>(bytes(elements).value); };
        for (std::size_t k = 0; k < plan_.links.size(); ++k) {
            ChainLinkPlan& link = plan_.links[k];
            const std::int64_t channels = link.tiling.channels;
            link.y = take(link.geometry().outputs());
            link.mean = saved.take<float>(channels);
            link.inverse_deviation = saved.take<float>(channels);
            if (k + 1 == plan_.links.size()) continue;
            link.scale = take(channels);
            link.shift = take(channels);
        }
        if (op_.activation == layers::Activation::relu) {
            const ChainLinkPlan& last = plan_.links.back();
            plan_.mask = saved.take<std::uint8_t>(last.tiling.rows * ChainPlan::mask_row_bytes(last));
        }
        needs().saved = saved.total();
        needs().backward_reads_input = true;
        if (op_.residual == ChainResidual::second)
            needs().backward_skips_inputs = needs().backward_in_place = 2;
        if (view_.request.input_gradient)
            needs().backward_weights = aligned(bytes(plan_.links.front().geometry().weights()));
    }

    /// f(link k, the link behind it), for all but the last.
    template <class F>
    void for_each_inner(const F& f) const {
        for (std::size_t k = 0; k + 1 < plan_.links.size(); ++k) f(k, plan_.links[k], plan_.links[k + 1]);
    }

    void plan_forward_scratch() {
        ChainParts& parts = plan_.forward_parts;
        Bytes inner[2] = {};
        for_each_inner([&](std::size_t k, const ChainLinkPlan& link, const ChainLinkPlan&) {
            Bytes& place = inner[plan_.training ? 0 : k % 2];
            place = std::max(place, bytes(link.geometry().outputs()));
        });
        std::int64_t channels = 0;
        std::int64_t partials = 0;
        for (const ChainLinkPlan& link : plan_.links) {
            channels = std::max(channels, link.tiling.channels);
            partials = std::max(partials, partial_bytes(link.tiling));
        }
        cuda::PartLayout layout;
        for (int i = 0; i < 2; ++i) parts.inner[i] = layout.take<std::byte>(inner[i].value);
        if (plan_.training) {
            parts.sum = layout.take<float>(channels);
            parts.squares = layout.take<float>(channels);
        }
        std::vector<GraphSpec*> specs;
        for (ChainLinkPlan& link : plan_.links) add(specs, link.forward);
        finish(parts, layout, specs, plan_.training ? partials : 0, needs().forward_scratch);
    }

    void plan_backward_scratch() {
        ChainParts& parts = plan_.backward_parts;
        std::int64_t inner = 0;
        std::int64_t mask = 0;
        std::int64_t weights = 0;
        std::int64_t channels = 0;
        for_each_inner([&](std::size_t, const ChainLinkPlan& link, const ChainLinkPlan& next) {
            inner = std::max(inner, link.geometry().outputs());
            mask = std::max(mask, link.tiling.rows * ChainPlan::mask_row_bytes(link));
            weights = std::max(weights, next.geometry().weights());
            channels = std::max(channels, link.tiling.channels);
        });
        std::int64_t d_w = 0;
        std::int64_t partials = 0;
        for (const ChainLinkPlan& link : plan_.links) {
            d_w = std::max(d_w, link.geometry().weights());
            partials = std::max(partials, partial_bytes(link.tiling));
        }
        cuda::PartLayout layout;
        parts.inner[0] = layout.take<std::byte>(bytes(inner).value);
        parts.mask = layout.take<std::uint8_t>(mask);
        parts.weights = layout.take<std::byte>(bytes(weights).value);
        parts.d_w = layout.take<std::byte>(bytes(d_w).value);
        for (std::int64_t& part : parts.unused) part = layout.take<float>(channels);
        std::vector<GraphSpec*> specs;
        for (ChainLinkPlan& link : plan_.links) {
            add(specs, link.weight_gradient);
            if (link.input_gradient) add(specs, *link.input_gradient);
        }
        finish(parts, layout, specs, partials, needs().backward_scratch);
    }

    static void add(std::vector<GraphSpec*>& specs, JoinedGraph& graph) {
        specs.push_back(&graph.plain);
        if (graph.joined) specs.push_back(&*graph.joined);
    }

    /// The workspace behind the parts: what is usual, or what the cap leaves.
    void finish(ChainParts& parts, const cuda::PartLayout& layout, const std::vector<GraphSpec*>& specs,
                std::int64_t least, Bytes& scratch) {
        const Bytes cap = view_.request.workspace_cap;
        parts.workspace = layout.total().value;
        const std::int64_t left = cap.value - parts.workspace - workspace_reserve;
        if (left < least) {
            refusal_ = over_cap(parts.workspace + workspace_reserve + least, cap);
            return;
        }
        std::int64_t room = least;
        for (GraphSpec* spec : specs) {
            spec->workspace = std::min(usual_workspace(*spec, device_.sm), left);
            room = std::max(room, spec->workspace);
        }
        scratch = Bytes(parts.workspace + workspace_reserve + room);
    }

    const layers::ConvNormChain& op_;
    const NodeView& view_;
    const DeviceModel& device_;
    ChainPlan plan_;
    std::string refusal_;
};

}  // namespace

PlanOffer<ChainPlan> plan_of(const layers::ConvNormChain& op, const NodeView& view,
                             const DeviceModel& device) {
    if (std::string why = refuse_device(device); !why.empty()) return {std::nullopt, std::move(why)};
    if (std::string why = refuse_mixed_types(view); !why.empty()) return {std::nullopt, std::move(why)};
    return ChainPlanner(op, view, device).make();
}

std::vector<GraphSpec> graphs_of(const ChainPlan& plan) {
    std::vector<GraphSpec> graphs;
    const auto add = [&](const JoinedGraph& graph) { graphs.push_back(graph.joined.value_or(graph.plain)); };
    for (const ChainLinkPlan& link : plan.links) {
        add(link.forward);
        if (!plan.training) continue;
        add(link.weight_gradient);
        if (link.input_gradient) add(*link.input_gradient);
    }
    return graphs;
}

layers::JoinsNorms joins_norms(const LaunchLimits& limits) {
    return [limits](const layers::Conv2d& op, const layers::TensorSpec& input, bool inside) {
        constexpr std::int64_t vector = 8;      // of 16 bits: what cuDNN's fused graphs move at once
        constexpr std::int64_t most_taps = 31;  // beyond these they have no plan on sm_80
        constexpr std::int64_t partials = std::int64_t{8} << 20;
        const std::int64_t channels = input.shape[2];
        const std::int64_t taps = op.kernel[0] * op.kernel[1];
        const bool has_graphs = input.dtype == DType::f16 && channels % vector == 0 &&
                                op.out_channels % vector == 0 && op.groups == 1 &&
                                op.dilation == std::array<std::int64_t, 2>{1, 1} && taps <= most_taps;
        // Shares of the scratch, so that the largest parts of all links, whichever they are, fit together: a
        // fifth for weights, their gradient and partial sums; the rest for two tensors between links, which
        // evaluation has at once, where training has one and its mask.
        const std::int64_t share = limits.scratch.value / 5;
        const auto two = [&](std::int64_t elements) {
            return bytes_of(Elements(2 * elements), input.dtype).value;
        };
        const bool fits = partials + two(channels * op.out_channels * taps) <= share &&
                          (!inside || two(limits.samples * input.shape.elements().value) <= 4 * share);
        return has_graphs && fits;
    };
}

}  // namespace trireme::cudnn
