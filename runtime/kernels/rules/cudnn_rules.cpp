#include "runtime/kernels/rules/cudnn_rules.hpp"

#include "runtime/core/error.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme {
namespace {

template <class Plan>
RuleOffer rules_of(cudnn::PlanOffer<Plan> offer) {
    if (!offer.plan) return {std::nullopt, std::move(offer.refusal)};
    return {std::move(offer.plan->rules), ""};
}

}  // namespace

RuleOffer CudnnRules::offer(const KernelRequest& request, const DeviceModel& device) const {
    ensure(request.graph != nullptr && request.batch >= 1, "a kernel request has a graph and a batch");
    const NodeView view(request);
    if (const auto* conv = std::get_if<layers::Conv2d>(&view.node.op))
        return rules_of(cudnn::plan_of(*conv, view, device));
    if (const auto* attention = std::get_if<layers::CausalSelfAttention>(&view.node.op))
        return rules_of(cudnn::plan_of(*attention, view, device));
    if (const auto* chain = std::get_if<layers::ConvNormChain>(&view.node.op))
        return rules_of(cudnn::plan_of(*chain, view, device));
    return {std::nullopt, "cuDNN is asked for convolutions, chains of them with norms, and attention"};
}

}  // namespace trireme
