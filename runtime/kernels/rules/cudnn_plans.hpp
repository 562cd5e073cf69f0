// What a node needs of cuDNN and of the memory plan: its graphs, the parts of its scratch and its compute
// copies. Made once by the rules, which only tell the needs, and once by the kernels, which launch by it.
// Host only.
//
// Convolutions read weights as KRSC in the type that products are formed of. Where the master [out, in /
// groups, kh, kw] lies so already (fp32, and one tap or one channel a group), it is read as it lies; else
// forward and backward_input each read a compute copy. In 16 bits forward's copy has the bias behind it.
// cuDNN takes one element type a graph, so an operand of another type is converted in scratch; and it writes
// the weight's gradient in that type and as KRSC, which a kernel of ours brings into its fp32 place.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/kernels/cuda/bodies/tiling.hpp"
#include "runtime/kernels/node_view.hpp"
#include "runtime/kernels/rules/cudnn_planning.hpp"

namespace trireme::cudnn {

/// Offsets of one pass's parts in the scratch. An operand that has none is read or written where it lies; one
/// that has one is a copy in the type of the graph.
struct PassParts {
    std::optional<std::int64_t> x;
    std::optional<std::int64_t> residual;
    std::optional<std::int64_t> y;
    std::optional<std::int64_t> d_y;
    std::optional<std::int64_t> d_x;
    std::optional<std::int64_t> d_w;
    /// Before it is rounded up to workspace_alignment in memory. Partial sums of the bias's gradient lie
    /// there too, when the graph has run.
    std::int64_t workspace = 0;
};

struct ConvPlan {
    NodeRules rules;
    DType compute = DType::f32;
    bool master_weights = false;   ///< weights and their gradient are used where they lie
    bool relu = false;             ///< the node's: inside the graph, or behind it with the residual
    bool residual_behind = false;  ///< a kernel of ours adds it to what the graph leaves
    GraphSpec forward;
    std::optional<GraphSpec> weight_gradient;  ///< in training
    std::optional<GraphSpec> input_gradient;   ///< where it is wanted
    PassParts forward_parts;
    PassParts weight_parts;
    PassParts input_parts;
    std::optional<std::int64_t> bias_copy;  ///< its place in forward_weights
    cuda::Tiling bias_tiling;               ///< of the bias's gradient
};

/// Whether this version of cuDNN (as cudnnGetVersion tells it) adds a residual inside a convolution of that
/// type. In fp32 that may not round to TF32, older ones have plans for the convolution alone.
[[nodiscard]] bool adds_residual_inside(DType compute, bool tf32, std::int64_t cudnn);

struct AttentionPlan {
    NodeRules rules;
    GraphSpec forward;
    std::optional<GraphSpec> backward;  ///< in training
};

[[nodiscard]] PlanOffer<ConvPlan> plan_of(const layers::Conv2d& op, const NodeView& view,
                                          const DeviceModel& device);
[[nodiscard]] PlanOffer<AttentionPlan> plan_of(const layers::CausalSelfAttention& op, const NodeView& view,
                                               const DeviceModel& device);

/// The graphs that a launch of the node may run, for tuning and for proofs; none where cuDNN is not asked.
[[nodiscard]] std::vector<GraphSpec> graphs_of(const KernelRequest& request, const DeviceModel& device);

}  // namespace trireme::cudnn
