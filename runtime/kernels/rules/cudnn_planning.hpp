// What the plans of cuDNN's nodes share (cudnn_plans.hpp, cudnn_chain_plans.hpp).
#pragma once

#include <string>
#include <string_view>

#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/rules/cudnn_graphs.hpp"

namespace trireme::cudnn {

/// What cuDNN's first choices take for a graph, by the sizes that they were seen to take on sm_80 and sm_90
/// (docs/kernels-cudnn.md): copies of operands that it wants in another layout, partial sums, accumulators. A
/// plan that takes more is not used. Bytes.
[[nodiscard]] std::int64_t usual_workspace(const GraphSpec& spec, int sm);

/// A node's plan, or why there is none.
template <class Plan>
struct PlanOffer {
    std::optional<Plan> plan;
    std::string refusal;
};

/// Why a device is not asked at all; empty where it is.
[[nodiscard]] std::string refuse_device(const DeviceModel& device);
[[nodiscard]] ConvGeometry geometry_of(const layers::Conv2d& op, std::int64_t batch, const Shape& input,
                                       const Shape& output);
/// "fp16", as the plan prints it.
[[nodiscard]] std::string_view precision_name(DType dtype, bool tf32);
[[nodiscard]] std::string over_cap(std::int64_t needed, Bytes cap);

}  // namespace trireme::cudnn
