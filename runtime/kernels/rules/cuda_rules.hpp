// What our own CUDA kernels take: every op but convolutions, in any mix of fp32, bf16 and fp16, on every
// device. Attention and linear layers have plain kernels, for what cuDNN and cuBLASLt refuse.
#pragma once

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

class CudaRules final : public KernelRules {
  public:
    [[nodiscard]] std::string_view name() const override { return "cuda"; }
    /// Refuses views, convolutions, element types and ranks that no kernel has, sums of more tensors than one
    /// kernel reads, windows and positions beyond what a counter holds, and nodes whose scratch is above
    /// request.workspace_cap.
    [[nodiscard]] RuleOffer offer(const KernelRequest& request, const DeviceModel& device) const override;
};

}  // namespace trireme
