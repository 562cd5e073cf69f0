// cuDNN as a provider: what the rules take (rules/cudnn_rules.hpp), where the library has plans for it on
// this GPU.
#pragma once

#include <memory>

#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/rules/plan_cache.hpp"

namespace trireme {

namespace cudnn {
class GraphPlans;
}

/// One thread at a time. Kernels may outlive the provider.
class CudnnProvider final : public KernelProvider {
  public:
    /// `device` says what the rules and the choice of plans depend on; `tuned` which plans were measured to
    /// be fastest, and is null for the library's own choices. The library starts at the first offer, on the
    /// current device of the calling thread.
    explicit CudnnProvider(DeviceModel device = {}, std::shared_ptr<PlanCache> tuned = nullptr);
    ~CudnnProvider() override;

    [[nodiscard]] std::string_view name() const override { return "cudnn"; }
    /// Throws DeviceError where the library or the GPU is missing, or the library too old.
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;

    [[nodiscard]] bool chooses_plans() const override { return tuned_ != nullptr; }
    /// Writes what is new into the file of plan_cache_path(); where that fails it is told, and the next job
    /// measures again.
    [[nodiscard]] std::string measure_plans() override;
    void adopt_plans(std::string_view text) override;

  private:
    DeviceModel device_;
    std::shared_ptr<PlanCache> tuned_;
    mutable std::shared_ptr<cudnn::GraphPlans> graphs_;
    mutable std::unique_ptr<KernelProvider> provider_;
};

}  // namespace trireme
