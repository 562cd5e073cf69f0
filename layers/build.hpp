// Helpers for those who build graphs: a convolution or linear layer with its bias as two nodes, the form that
// rewrites look for. Stable names come out of it: for `name` the nodes are `name` and `name_bias`, the
// parameters `name.weight` and `name.bias`, before and after the fusion of layers/rewrite.
#pragma once

#include <string>

#include "layers/graph.hpp"

namespace trireme::layers {

/// Appends `op` as node `name` and a bias as node `name_bias`; returns the bias's output. Throws ConfigError
/// as ModelGraph::add does, and where `op` has a bias or an activation of its own.
TensorId conv_bias(ModelGraph& graph, const std::string& name, const Conv2d& op, TensorId input);
TensorId linear_bias(ModelGraph& graph, const std::string& name, const Linear& op, TensorId input);

}  // namespace trireme::layers
