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

}  // namespace trireme::test
