// Small networks for tests of plans and executors.
#pragma once

#include "layers/build.hpp"
#include "layers/graph.hpp"
#include "layers/rewrite/rewrite.hpp"

namespace trireme::test {

/// 8x8x1 images, 5 classes: convolution, ReLU, max pool, two dense layers. All op kinds that LeNet has.
inline layers::ModelGraph tiny_convnet() {
    using namespace layers;
    ModelGraph graph("tiny", Shape{8, 8, 1}, Shape{}, DType::i32);
    Conv2d conv;
    conv.out_channels = 6;
    conv.kernel = {3, 3};
    TensorId x = conv_bias(graph, "conv1", conv, graph.input());
    x = graph.add("relu1", Relu{}, {x});
    x = graph.add("pool1", Pool2d{}, {x});
    x = graph.add("flatten", Flatten{}, {x});
    Linear hidden;
    hidden.out_features = 16;
    x = graph.add("relu2", Relu{}, {linear_bias(graph, "fc1", hidden, x)});
    Linear head;
    head.out_features = 5;
    x = linear_bias(graph, "fc2", head, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

/// The same after the fusion that jobs apply.
inline layers::ModelGraph tiny_convnet_fused() { return layers::fuse_bias_activation(tiny_convnet()).graph; }

/// 8x8x1 images, 5 classes: batch norm, a residual branch, dropout, global pooling. What a ResNet has, and
/// random numbers.
inline layers::ModelGraph tiny_residual() {
    using namespace layers;
    ModelGraph graph("tiny-residual", Shape{8, 8, 1}, Shape{}, DType::i32);
    Conv2d conv;
    conv.out_channels = 6;
    conv.kernel = {3, 3};
    conv.padding = {1, 1};
    TensorId x = graph.add("conv1", conv, {graph.input()});
    x = graph.add("relu1", Relu{}, {graph.add("bn1", BatchNorm{}, {x})});
    TensorId branch = graph.add("conv2", conv, {x});
    branch = graph.add("bn2", BatchNorm{}, {branch});
    x = graph.add("relu2", Relu{}, {graph.add("join", Add{}, {branch, x})});
    x = graph.add("drop", Dropout{.p = 0.3}, {graph.add("pool", GlobalAveragePool{}, {x})});
    Linear head;
    head.out_features = 5;
    x = linear_bias(graph, "fc", head, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

}  // namespace trireme::test
