#include "runtime/kernels/cudnn/graph_plans.hpp"

#include "runtime/core/log.hpp"

namespace trireme::cudnn {

std::shared_ptr<PlannedGraph> GraphPlans::plan(const GraphSpec& spec) {
    const std::string key = spec.str();
    if (const auto found = plans_.find(key); found != plans_.end()) return found->second.plan;
    std::shared_ptr<Plan> made = PlannedGraph::make(spec, Target::gpu(handle_.get(), sm_), refusal_);
    if (made == nullptr || !take(*made, spec)) return nullptr;
    plans_.emplace(key, Chosen{spec, made});
    return made;
}

std::vector<GraphSpec> GraphPlans::asked() const {
    std::vector<GraphSpec> specs;
    for (const auto& [text, chosen] : plans_) specs.push_back(chosen.spec);
    return specs;
}

bool GraphPlans::take(Plan& plan, const GraphSpec& spec) {
    const auto choice = tuned_ == nullptr ? std::nullopt : tuned_->find(spec.str());
    if (!choice) return plan.take_first(refusal_);
    std::string why;
    if (plan.take(choice->plan, why)) return true;
    log::warn("{}: the plan that was measured is not there any more ({}); cuDNN's first choice is taken",
              spec.str(), why);
    return plan.take_first(refusal_);
}

}  // namespace trireme::cudnn
