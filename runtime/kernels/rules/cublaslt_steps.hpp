// Linear layers and feed-forwards as steps for cuBLASLt.
//
//     linear         y = x w' + b             d_w = d_y' x (and the sums of d_y),  d_x = d_y w
//     feed-forward   h = act(x w1' + b1)      d_w2 = d_y' h,  d_u = (d_y w2) act'(u),  d_w1 = d_u' x
//                    y = h w2' + b2           d_x = d_u w1
//
// Bias, activation, the activation's gradient and the bias's gradient are epilogues: no pass over memory is
// made for them. What a feed-forward keeps for backward (u, or of a relu one bit a value, and h) lies in
// `saved`; d_u takes the place of h. So backward_weight must come before backward_input, as NodeKernels says.
//
// In 16 bit, forward reads compute copies of weights and biases (rows at multiples of 16 bytes),
// backward_input one of the weight; an fp32 operand beside a 16-bit one (samples, the gradient of logits) is
// converted in scratch, a gradient in pieces of at most 256 MiB.
#pragma once

#include "runtime/kernels/rules/launch_steps.hpp"

namespace trireme::cublaslt {

/// A node's steps, or why there are none.
struct StepsOffer {
    std::optional<NodeSteps> steps;
    std::string refusal;
};

/// Workspace that cuBLAS advises for a device: what its algorithms on few large tiles split their sums into.
[[nodiscard]] Bytes advised_workspace(int sm);

/// Scratch begins with the workspace and what its alignment takes. It is smaller than advised where the cap
/// asks for it.
[[nodiscard]] StepsOffer steps_of(const KernelRequest& request, const DeviceModel& device);

}  // namespace trireme::cublaslt
