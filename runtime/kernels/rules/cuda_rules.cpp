#include "runtime/kernels/rules/cuda_rules.hpp"

#include <algorithm>
#include <limits>
#include <variant>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/kernels/cuda/bodies/attention.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"
#include "runtime/kernels/rules/cuda_plans.hpp"

namespace trireme {
namespace {

std::string refuse_types(const NodeView& view) {
    const layers::ModelGraph& graph = *view.request.graph;
    for (std::size_t i = 0; i < view.node.inputs.size(); ++i) {
        const layers::TensorSpec& tensor = graph.tensor(view.node.inputs[i]);
        const DType wanted = layers::input_dtype(view.node.op, i);
        if (tensor.dtype == wanted || (is_half(tensor.dtype) && wanted == DType::f32)) continue;
        return fmt::format("input '{}' is {}, these kernels take {}", tensor.name, name_of(tensor.dtype),
                           name_of(wanted));
    }
    const layers::TensorSpec& output = graph.tensor(view.node.output);
    if (output.dtype == DType::f32) return {};
    if (layers::is_loss(view.node.op) || !is_half(output.dtype)) {
        return fmt::format("output '{}' is {}, these kernels write {}", output.name, name_of(output.dtype),
                           layers::is_loss(view.node.op) ? "losses as f32" : "f32, bf16 and f16");
    }
    return {};
}

template <class Op>
std::string refuse_extents(const Op&, const NodeView& view) {
    if (view.input.rank() < 1) return "the input is a scalar for each sample, these kernels take vectors";
    return {};
}
std::string refuse_image(const NodeView& view) {
    if (view.input.rank() == 3) return {};
    return fmt::format("input {} has rank {}, these kernels take height, width, channels", view.input.str(),
                       view.input.rank());
}
std::string refuse_extents(const layers::GlobalAveragePool&, const NodeView& view) {
    return refuse_image(view);
}
std::string refuse_extents(const layers::Pool2d& op, const NodeView& view) {
    constexpr std::int64_t most_places = std::numeric_limits<std::uint16_t>::max() + 1;
    if (op.kernel[0] * op.kernel[1] <= most_places) return refuse_image(view);
    return fmt::format("windows of {}x{}; a window may have {} places", op.kernel[0], op.kernel[1],
                       most_places);
}
std::string refuse_extents(const layers::Add&, const NodeView& view) {
    if (view.node.inputs.size() <= cuda::AddAll::most) return {};
    return fmt::format("adds {} tensors, one kernel adds {} at most", view.node.inputs.size(),
                       cuda::AddAll::most);
}
std::string refuse_extents(const layers::Embedding& op, const NodeView& view) {
    constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
    const std::int64_t positions = view.request.batch * view.input.elements().value;
    if (positions <= most && op.vocabulary < most) return {};
    return fmt::format("{} positions and {} symbols; the sort of symbols counts to {}", positions,
                       op.vocabulary, most);
}
std::string refuse_extents(const layers::CausalSelfAttention&, const NodeView& view) {
    const std::int64_t most = cuda::AttentionShape::most_positions;
    if (view.input[0] <= most) return {};
    return fmt::format("{} positions; the plain kernel keeps a row of weights in shared memory, {} at most",
                       view.input[0], most);
}

/// Rules where the op has a plan, else nothing.
std::optional<NodeRules> rules_of(const layers::Op& op, const NodeView& view) {
    std::optional<NodeRules> rules;
    std::visit(
        [&](const auto& o) {
            if constexpr (requires { cuda::plan_of(o, view); }) rules = cuda::plan_of(o, view).rules;
        },
        op);
    return rules;
}

}  // namespace

RuleOffer CudaRules::offer(const KernelRequest& request, const DeviceModel&) const {
    ensure(request.graph != nullptr && request.batch >= 1, "a kernel request has a graph and a batch");
    const NodeView view(request);
    const layers::Op& op = view.node.op;
    if (layers::is_view(op)) return {std::nullopt, "a view needs no kernel"};
    if (std::string reason = refuse_types(view); !reason.empty()) return {std::nullopt, std::move(reason)};
    std::string reason = std::visit([&](const auto& o) { return refuse_extents(o, view); }, op);
    if (!reason.empty()) return {std::nullopt, std::move(reason)};
    std::optional<NodeRules> rules = rules_of(op, view);
    if (!rules) {
        return {std::nullopt,
                fmt::format("our own kernels have no {}: it is a library's", layers::name_of(op))};
    }
    const Bytes scratch = std::max(rules->needs.forward_scratch, rules->needs.backward_scratch);
    if (scratch > request.workspace_cap) {
        return {std::nullopt, fmt::format("workspace of {} over the cap of {} (job.workspace_mb)",
                                          human_bytes(scratch), human_bytes(request.workspace_cap))};
    }
    return {std::move(rules), ""};
}

}  // namespace trireme
