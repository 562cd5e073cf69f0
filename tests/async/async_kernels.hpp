// Kernels on the asynchronous host device: those of another provider, launched pass by pass with what each
// pass reads and writes, as its needs say.
#pragma once

#include <memory>
#include <string>

#include "runtime/available_backends.hpp"
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

}  // namespace trireme::async
