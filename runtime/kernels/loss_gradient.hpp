// The derivative of what backward starts from by the loss of a sample: 1, or the loss scale of the step.
#pragma once

#include "runtime/kernels/kernel.hpp"

namespace trireme {

/// On devices whose memory the host reads.
[[nodiscard]] inline float loss_gradient(const KernelBuffers& b) {
    return b.context != nullptr && b.context->loss_scale != nullptr ? *b.context->loss_scale : 1.0F;
}

}  // namespace trireme
