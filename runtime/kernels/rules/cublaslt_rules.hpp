// What the cublaslt provider takes, told without a device: linear layers and feed-forwards in fp32 (TF32
// where the device model allows it), bf16 and fp16, each with its bias, activation and their gradients as
// epilogues.
#pragma once

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

class CublasltRules final : public KernelRules {
  public:
    [[nodiscard]] std::string_view name() const override { return "cublaslt"; }
    /// Refuses other ops, two 16-bit types in one node, devices older than compute capability 8.0, extents
    /// beyond 32 bits, and nodes whose converted operands do not fit request.workspace_cap.
    [[nodiscard]] RuleOffer offer(const KernelRequest& request, const DeviceModel& device) const override;
};

}  // namespace trireme
