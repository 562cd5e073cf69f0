// Kernels on the asynchronous host device: those of another provider, launched pass by pass with what each
// pass reads and writes, as its needs say.
#pragma once

#include <memory>
#include <string>

#include "runtime/available_backends.hpp"
#include "runtime/device/cpu/cpu_device.hpp"
#include "runtime/exec/step_kernels.hpp"
#include "tests/async/async_device.hpp"

namespace trireme::async {

class AsyncProvider final : public KernelProvider {
  public:
    /// `streams` makes the streams that the inner kernels run on.
    AsyncProvider(std::unique_ptr<KernelProvider> inner, Device& streams)
        : inner_(std::move(inner)), streams_(streams) {}
    [[nodiscard]] std::string_view name() const override { return inner_->name(); }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;

  private:
    std::unique_ptr<KernelProvider> inner_;
    Device& streams_;
};

class AsyncStepKernels final : public StepKernels {
  public:
    void record_loss(Stream& stream, const LossRecord& record) override;
    void clear(Stream& stream, float* gradients, std::int64_t elements, float* status,
               const Wishes& wishes) override;
    void add(Stream& stream, const InPlaceSum& sum) override;
    void commit(Stream& stream, ModelState& state, const Commit& commit) override;

  private:
    HostStepKernels host_{1};
    CpuStream at_once_;
};

}  // namespace trireme::async
