#include "runtime/kernels/rules/cublaslt_rules.hpp"

#include "runtime/kernels/rules/cublaslt_steps.hpp"

namespace trireme {

RuleOffer CublasltRules::offer(const KernelRequest& request, const DeviceModel& device) const {
    cublaslt::StepsOffer offer = cublaslt::steps_of(request, device);
    if (!offer.steps) return {std::nullopt, std::move(offer.refusal)};
    return {std::move(offer.steps->rules), ""};
}

}  // namespace trireme
