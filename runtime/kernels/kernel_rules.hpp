// What a device's kernels take, told without the device: the host-only half of a kernel provider. It is
// compiled into every build, so that a job for a GPU can be planned, explained and tried with other kernels
// on a machine that has none. The other half launches; its needs() are those given here.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/kernels/kernel.hpp"
#include "runtime/numerics.hpp"

namespace trireme {

/// What rules may depend on.
struct DeviceModel {
    std::string kind = "cuda";
    int sm = 90;        ///< compute capability times ten
    int cudnn = 91900;  ///< version, as cudnnGetVersion tells it
    bool deterministic = false;
    bool tf32 = true;  ///< fp32 products may round their operands to TF32
};

/// A GPU of compute capability `sm` / 10 that computes as the job says.
[[nodiscard]] inline DeviceModel cuda_model(int sm, const Numerics& numerics) {
    DeviceModel model;
    model.sm = sm;
    model.deterministic = numerics.deterministic;
    model.tf32 = numerics.tf32;
    return model;
}

struct NodeRules {
    KernelNeeds needs;
    std::string implementation;  ///< what the plan prints, such as "fprop" or "loop:bf16"
};

/// A node's rules, or why it is not taken.
struct RuleOffer {
    std::optional<NodeRules> rules;
    std::string refusal;
};

class KernelRules {
  public:
    virtual ~KernelRules() = default;
    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual RuleOffer offer(const KernelRequest& request, const DeviceModel& device) const = 0;
};

}  // namespace trireme
