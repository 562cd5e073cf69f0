// Helpers for those who build graphs: a convolution or linear layer with what usually stands behind it, as
// the separate nodes that rewrites look for. Names are stable: parameters keep them before and after the
// fusions of layers/rewrite. All throw ConfigError as ModelGraph::add does, and where `op` has a bias or an
// activation of its own.
#pragma once

#include <string>

#include "layers/graph.hpp"

namespace trireme::layers {

/// Appends `op` as node `name` and a bias as node `name_bias`; returns the bias's output. Parameters:
/// `name.weight` and `name.bias`.
TensorId conv_bias(ModelGraph& graph, const std::string& name, const Conv2d& op, TensorId input);
TensorId linear_bias(ModelGraph& graph, const std::string& name, const Linear& op, TensorId input);

/// Appends `op` as node `conv_name` and a batch norm, which takes the place of a bias, as node `bn_name`;
/// returns the batch norm's output. Parameters: `conv_name.weight`, `bn_name.weight`, `bn_name.bias`;
/// buffers: `bn_name.running_mean`, `bn_name.running_var`. So "layer1.0.conv1" and "layer1.0.bn1" give the
/// names that torchvision's networks have.
TensorId conv_bn(ModelGraph& graph, const std::string& conv_name, const std::string& bn_name,
                 const Conv2d& op, TensorId input);

}  // namespace trireme::layers
