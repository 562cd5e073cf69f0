// cuDNN as a provider: what the rules take (rules/cudnn_rules.hpp), where the library has plans for it on
// this GPU.
#pragma once

#include <memory>

#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/rules/plan_cache.hpp"

namespace trireme {

/// One thread at a time. Kernels may outlive the provider.
class CudnnProvider final : public KernelProvider {
  public:
    /// `device` says what the rules and the choice of plans depend on; `tuned` which plans were measured to
    /// be fastest, and is null for the library's own choices. The library starts at the first offer, on the
    /// current device of the calling thread.
    explicit CudnnProvider(DeviceModel device = {}, std::shared_ptr<const PlanCache> tuned = nullptr)
        : device_(std::move(device)), tuned_(std::move(tuned)) {}

    [[nodiscard]] std::string_view name() const override { return "cudnn"; }
    /// Throws DeviceError where the library or the GPU is missing, or the library too old.
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;

  private:
    DeviceModel device_;
    std::shared_ptr<const PlanCache> tuned_;
    mutable std::unique_ptr<KernelProvider> provider_;
};

}  // namespace trireme
