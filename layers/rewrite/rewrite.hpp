// Graph rewrites: the same function of the same parameters, with fewer passes over memory. A rewrite is pure
// and needs no device; it keeps the names, the order and the initial values of all parameters and buffers, so
// that checkpoints and results do not depend on what was fused.
#pragma once

#include <string>
#include <vector>

#include "layers/graph.hpp"

namespace trireme::layers {

struct Rewritten {
    ModelGraph graph;
    std::vector<std::string> lines;  ///< what was done, a line each, for `inspect`; empty: nothing
};

/// A conv2d or linear node without bias, then a bias, then (optionally) a relu, become one node:
///
///     conv1 --> conv1_bias --> relu1 -->       ==>       conv1 (bias, activation=relu) -->
///
/// Only where each inner tensor has a single reader, since it exists no more afterwards. A node that has its
/// bias already takes the relu alone. The fused node and its output tensor have the name of the first node;
/// all other names stay. Floating-point results are those of the separate nodes.
[[nodiscard]] Rewritten fuse_bias_activation(const ModelGraph& graph);

}  // namespace trireme::layers
