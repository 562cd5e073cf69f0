// Graph rewrites: the same function of the same parameters, with fewer passes over memory. A rewrite is pure
// and needs no device; it keeps the names, the order and the initial values of all parameters and buffers, so
// that checkpoints do not depend on what was rewritten; results do only where it is said.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "layers/graph.hpp"

namespace trireme::layers {

struct Rewritten {
    ModelGraph graph;
    std::vector<std::string> lines;  ///< what was done, a line each, for `inspect`; empty: nothing
};

/// A relu that a max pool alone reads moves behind it, into it, where there are fewer values:
///
///     conv1 --> relu1 --> pool1 -->            ==>       conv1 --> pool1 (activation=relu) -->
///
/// The largest of a window is the same before and behind a relu, and where it is not above 0 no gradient
/// passes; so results are those of the separate nodes. The relu's name and tensor exist no more.
[[nodiscard]] Rewritten pool_before_relu(const ModelGraph& graph);

/// A conv2d or linear node, then (each optionally) a bias, for a conv2d the addition of one other tensor, and
/// a relu, become one node:
///
///     conv1 --> conv1_bias --> relu1 -->       ==>       conv1 (bias, activation=relu) -->
///
///     conv2 --> conv2_bias --> add --> relu2 -->  ==>    conv2 (bias, residual, activation=relu) -->
///     shortcut -----------------/                        shortcut -/
///
/// Only where each inner tensor has a single reader, since it exists no more afterwards. The other tensor
/// must be made before the convolution, and must not be its input: of two convolutions that are added the one
/// that comes later takes the addition. The fused node and its output tensor have the name of the first node;
/// all other names stay. Floating-point results are those of the separate nodes, but for a residual, which
/// kernels may add in another place of the sum.
[[nodiscard]] Rewritten fuse_bias_activation(const ModelGraph& graph);

/// A batch norm, then (optionally) the addition of one other tensor, then (optionally) a relu, become one
/// node:
///
///     bn2 --> add --> relu -->                 ==>       bn2 (residual, activation=relu) -->
///     shortcut -/                                        shortcut -/
///
/// Only where each inner tensor has a single reader. Where both sides of the addition are batch norms, the
/// one that comes later takes it, because the other tensor must be there before. Names: as above;
/// floating-point results are those of the separate nodes.
[[nodiscard]] Rewritten fuse_batch_norm(const ModelGraph& graph);

/// All fusions: what a job runs.
[[nodiscard]] Rewritten fuse(const ModelGraph& graph);

/// Two linear layers with a relu or a gelu (in its tanh form) between them become one feed-forward:
///
///     fc --> gelu --> proj -->                 ==>       fc (feed_forward: 4 parameters) -->
///
/// Both must have a bias, each inner tensor a single reader, and the parameters no other. For devices whose
/// products take the activation and its gradient along (not a part of `fuse`): comes after it, because relus
/// and biases must have been taken in. Names as above; the inner tensors exist no more, and a 16-bit store
/// rounds them as it did.
[[nodiscard]] Rewritten fuse_feed_forward(const ModelGraph& graph);

/// Whether a device joins this convolution, of that input, to the batch norms around it. `inside`: the input
/// is what a norm in front of it gives, and exists no more.
using JoinsNorms = std::function<bool(const Conv2d& op, const TensorSpec& input, bool inside)>;

/// Convolutions and batch norms that follow each other become one chain:
///
///     conv1 --> bn1 (relu) --> conv2 --> bn2 (residual, relu) -->    ==>    conv1 (conv_norm_chain) -->
///     x ----------------------------------/                                 x -/
///
/// A chain begins at a convolution that `joins` takes and a norm follows; it goes on where a relu and nothing
/// else stands between that norm and the next such convolution. Each inner tensor must have a single reader,
/// all tensors one element type, and the parameters no other reader. What the last norm adds must be there
/// before the first convolution, and may be what that reads; where it comes later the chain ends a link
/// before. For devices whose convolutions take norms along (not a part of `fuse`): comes after it, and after
/// `store_as`, because that tells the types. Names as above; the inner tensors exist no more. Results differ
/// by the roundings of what is between.
[[nodiscard]] Rewritten fuse_conv_norms(const ModelGraph& graph, const JoinsNorms& joins);

/// The outputs of all nodes, and so their gradients, are stored as `half` (bf16, fp16): half the memory and
/// traffic, and products of such values where kernels have them. The samples, what a loss reads and the loss
/// itself stay fp32; parameters are fp32 always. Comes last: a fused node rounds once where separate ones
/// would round each. This is the rewrite that changes results, by roundings of 2^-9 each.
[[nodiscard]] Rewritten store_as(const ModelGraph& graph, DType half);
[[nodiscard]] inline Rewritten store_as_bf16(const ModelGraph& graph) { return store_as(graph, DType::bf16); }

}  // namespace trireme::layers
