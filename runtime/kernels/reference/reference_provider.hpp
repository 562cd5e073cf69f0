// The reference of layers/ as kernels: every op, in double precision on one thread, on fp32 device memory.
// Slow, and the truth that other providers are tested on; it is asked last and refuses nothing.
#pragma once

#include "runtime/kernels/kernel.hpp"

namespace trireme {

class ReferenceProvider final : public KernelProvider {
  public:
    [[nodiscard]] std::string_view name() const override { return "reference"; }
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;
};

}  // namespace trireme
