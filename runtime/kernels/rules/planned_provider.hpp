// A provider for planning alone: it answers with what the rules of a device say, where the device is not. Its
// kernels have needs and a name, and cannot be launched.
#pragma once

#include <memory>

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

class PlannedProvider final : public KernelProvider {
  public:
    PlannedProvider(std::unique_ptr<KernelRules> rules, DeviceModel device)
        : rules_(std::move(rules)), device_(std::move(device)) {}

    [[nodiscard]] std::string_view name() const override { return rules_->name(); }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;

  private:
    std::unique_ptr<KernelRules> rules_;
    DeviceModel device_;
};

}  // namespace trireme
