// What the cudnn provider takes, told without a device: every convolution, in fp32 (TF32 where the device
// model allows it), bf16 and fp16, grouped, strided and dilated, with bias, residual and relu inside; causal
// attention in bf16 and fp16. What cuDNN itself refuses on a device is found by tests/deviceless.
#pragma once

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

class CudnnRules final : public KernelRules {
  public:
    [[nodiscard]] std::string_view name() const override { return "cudnn"; }
    /// Refuses other ops (pooling too: a kernel of ours moves as few bytes, and of equal values takes the
    /// first), cuDNN before 9.13, devices older than compute capability 8.0, element types and heads that
    /// cuDNN has no plan for, and nodes whose converted operands, or whose attention, do not fit
    /// request.workspace_cap.
    [[nodiscard]] RuleOffer offer(const KernelRequest& request, const DeviceModel& device) const override;
};

}  // namespace trireme
