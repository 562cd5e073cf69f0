// What a chain of convolutions and batch norms (layers::ConvNormChain) needs of cuDNN and of the memory plan.
//
//     forward    y = conv(x) and the sums of y, y^2             conv_statistics
//                y' = conv(relu(scale y + shift)) and its sums   normalized_conv_statistics, for each link
//                more out = the last norm (+ residual) (relu)         our pass
//     backward   d_y' of the last norm                           our passes
//                d_w of relu(scale y + shift) and d_y'           normalized_weight_gradient
//                d = w' d_y' where that relu passes, its sums    input_gradient_norm_sums
//                d_y from d, y and the sums                      our pass; and so on to the first link
//                d_w of x and d_y; d_x                           conv_weight_gradient, conv_input_gradient
//
// `saved` holds the raw y of each link, in the type of the graphs, and d_y takes its place: normalised
// tensors and the gradients between links are never kept. All gradients but d_x are made in backward_weight.
//
// A graph that the library has not is done apart: norm, convolution and sums by kernels of their own, on the
// normalised tensor in scratch. So a chain runs on every device, and evaluation is done that way always.
#pragma once

#include <optional>
#include <vector>

#include "layers/rewrite/rewrite.hpp"
#include "runtime/kernels/cuda/bodies/tiling.hpp"
#include "runtime/kernels/node_view.hpp"
#include "runtime/kernels/rules/cudnn_planning.hpp"
#include "runtime/kernels/rules/launch_limits.hpp"

namespace trireme::cudnn {

/// A graph that joins a norm to a convolution, and the one that stands for its convolution alone.
struct JoinedGraph {
    std::optional<GraphSpec> joined;
    GraphSpec plain;
};

struct ChainLinkPlan {
    JoinedGraph forward;
    JoinedGraph weight_gradient;                ///< in training
    std::optional<JoinedGraph> input_gradient;  ///< of the first link where it is wanted
    cuda::Tiling tiling;                        ///< of y: rows and channels
    std::int64_t weights = 0;                   ///< place in forward_weights
    /// Places in `saved`: y; [channels] floats each; the norm folded for the next link.
    std::int64_t y = 0;
    std::int64_t mean = 0;
    std::int64_t inverse_deviation = 0;
    std::int64_t scale = 0;
    std::int64_t shift = 0;

    [[nodiscard]] const ConvGeometry& geometry() const { return forward.plain.conv; }
};

/// Places in the scratch of one pass, each as large as the link that needs most.
struct ChainParts {
    std::int64_t inner[2] = {};  ///< tensors between links: normalised, or their gradient; evaluation has two
    std::int64_t sum = 0;        ///< [channels] floats each
    std::int64_t squares = 0;
    std::int64_t unused[3] = {};  ///< results of cuDNN that nobody reads, [channels] floats each
    std::int64_t mask = 0;        ///< of a relu between links
    std::int64_t weights = 0;
    std::int64_t d_w = 0;
    /// Before it is rounded up to workspace_alignment in memory. Our partial sums lie there too.
    std::int64_t workspace = 0;
};

struct ChainPlan {
    NodeRules rules;
    DType dtype = DType::f32;
    bool training = true;
    std::vector<ChainLinkPlan> links;
    std::int64_t mask = 0;  ///< of the last relu, in `saved`
    ChainParts forward_parts;
    ChainParts backward_parts;

    /// A mask has a byte for each pack of a row.
    [[nodiscard]] static std::int64_t mask_row_bytes(const ChainLinkPlan& link) {
        return cuda::packs_of(link.tiling.channels);
    }
};

[[nodiscard]] PlanOffer<ChainPlan> plan_of(const layers::ConvNormChain& op, const NodeView& view,
                                           const DeviceModel& device);
/// The graphs that a launch asks the library for first.
[[nodiscard]] std::vector<GraphSpec> graphs_of(const ChainPlan& plan);

/// Which convolutions are worth a chain: those for which cuDNN has the joined graphs (fp16, whole vectors of
/// channels, no groups or dilation, kernels of less than 32 taps), and whose parts fit the scratch: what this
/// takes `plan_of` does not refuse.
[[nodiscard]] layers::JoinsNorms joins_norms(const LaunchLimits& limits);

}  // namespace trireme::cudnn
