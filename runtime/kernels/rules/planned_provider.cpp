#include "runtime/kernels/rules/planned_provider.hpp"

#include <utility>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

class PlannedKernels final : public NodeKernels {
  public:
    explicit PlannedKernels(NodeRules rules) : rules_(std::move(rules)) {}

    [[nodiscard]] KernelNeeds needs() const override { return rules_.needs; }
    [[nodiscard]] std::string describe() const override { return rules_.implementation; }
    void pack_forward(Stream&, const KernelBuffers&) override { refuse(); }
    void pack_backward(Stream&, const KernelBuffers&) override { refuse(); }
    void forward(Stream&, const KernelBuffers&) override { refuse(); }
    void backward_activation(Stream&, const KernelBuffers&) override { refuse(); }
    void backward_weight(Stream&, const KernelBuffers&) override { refuse(); }
    void backward_input(Stream&, const KernelBuffers&) override { refuse(); }

  private:
    static void refuse() { ensure(false, "kernels of a planned device are not launched"); }

    NodeRules rules_;
};

}  // namespace

KernelOffer PlannedProvider::offer(const KernelRequest& request) const {
    RuleOffer answer = rules_->offer(request, device_);
    if (!answer.rules) return {nullptr, std::move(answer.refusal)};
    return {std::make_unique<PlannedKernels>(std::move(*answer.rules)), {}};
}

}  // namespace trireme
