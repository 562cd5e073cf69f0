// cuBLASLt as a provider: what the rules take (rules/cublaslt_rules.hpp), where the library has algorithms
// for it on this GPU. An epilogue that it has not is done apart, and the plan's text says so.
#pragma once

#include <memory>

#include "runtime/kernels/kernel_rules.hpp"

namespace trireme {

namespace cublaslt {
class MatmulPlans;
}

/// One thread at a time. Kernels may outlive the provider.
class CublasltProvider final : public KernelProvider {
  public:
    /// `device` says what the rules and the choice of algorithms depend on. The library starts at the first
    /// offer, on the current device of the calling thread.
    explicit CublasltProvider(DeviceModel device = {}) : device_(std::move(device)) {}

    [[nodiscard]] std::string_view name() const override { return "cublaslt"; }
    /// Throws DeviceError where the library or the GPU is missing.
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;

  private:
    DeviceModel device_;
    mutable std::shared_ptr<cublaslt::MatmulPlans> plans_;
};

}  // namespace trireme
