// Kernels for CPU cores from oneDNN 3.x and loops of our own, fp32, training and evaluation: all ops but
// views. What was measured to choose each implementation is in docs/kernels-cpu.md.
//
// Invariants: a launch creates no primitive, resolves no name and allocates no tensor; primitives, memory
// objects and argument lists are made by offer(), a launch only sets pointers. Results are functions of the
// operands, the batch and the thread count, bit for bit, on one instruction set and one version of oneDNN.
// Activations are plain NHWC; parameters and their gradients plain row-major, and the layouts that oneDNN
// prefers for weights are copies in scratch.
#pragma once

#include "runtime/kernels/kernel.hpp"

namespace trireme {

class OnednnProvider final : public KernelProvider {
  public:
    [[nodiscard]] std::string_view name() const override { return "onednn"; }
    /// Refuses views, element types other than fp32 and bf16, shapes that oneDNN has no primitive for, and
    /// nodes whose scratch is above request.workspace_cap.
    [[nodiscard]] KernelOffer offer(const KernelRequest& request) const override;
};

namespace onednn {
/// "3.2.0"
[[nodiscard]] std::string version();
/// What oneDNN compiles for on this processor (ONEDNN_MAX_CPU_ISA lowers it): "avx512_core_bf16".
[[nodiscard]] std::string instruction_set();
}  // namespace onednn

}  // namespace trireme
