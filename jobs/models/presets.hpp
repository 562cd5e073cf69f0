// The networks that have a name of their own. Each takes its two ends (sample, outputs, loss) from the frame.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jobs/models/model_frame.hpp"
#include "layers/graph.hpp"

namespace trireme::jobs::presets {

[[nodiscard]] layers::ModelGraph lenet(const ModelFrame& frame);
[[nodiscard]] layers::ModelGraph mlp(const ModelFrame& frame, const std::vector<std::int64_t>& hidden);

/// Simonyan and Zisserman, "Very Deep Convolutional Networks", 2015, configuration A without batch norm, with
/// dropout 0.5 between the three dense layers. Parameters are named, and nodes numbered, as in torchvision:
/// features.0.weight, classifier.6.bias. Its adaptive pooling to 7x7 is what samples of 224x224 do not need;
/// where the features are a multiple of 7 high and wide their windows are averaged, and features smaller than
/// 7x7 go into the classifier as they are, which then has fewer weights. Throws ConfigError for other sizes.
[[nodiscard]] layers::ModelGraph vgg11(const ModelFrame& frame);

/// He, Zhang, Ren and Sun, "Deep Residual Learning", 2016: four stages of two basic blocks each, 64 to 512
/// channels, behind one 3x3 convolution, for images of 32x32.
[[nodiscard]] layers::ModelGraph resnet18_cifar(const ModelFrame& frame);
/// The same paper's 50 layers: stages of 3, 4, 6 and 3 bottlenecks. The stride of a stage is in its first 3x3
/// convolution, not in the 1x1 before it (known as v1.5, and what torchvision has).
[[nodiscard]] layers::ModelGraph resnet50(const ModelFrame& frame);

}  // namespace trireme::jobs::presets
