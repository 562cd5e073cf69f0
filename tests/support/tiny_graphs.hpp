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

/// 5 classes: batch norm, a residual branch, dropout, global pooling. What a ResNet has, and random numbers;
/// after the fusions that jobs apply.
inline layers::ModelGraph residual_network(std::int64_t side, std::int64_t channels) {
    using namespace layers;
    ModelGraph graph("tiny-residual", Shape{side, side, 1}, Shape{}, DType::i32);
    Conv2d conv;
    conv.out_channels = channels;
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
    return layers::fuse(graph).graph;
}

inline layers::ModelGraph tiny_residual() { return residual_network(8, 6); }

/// The same with activations in bf16.
inline layers::ModelGraph tiny_residual_bf16() { return layers::store_as_bf16(tiny_residual()).graph; }

/// 8x8x1 images, 5 classes: a stem and two bottleneck branches of a ResNet, the second with a stride and a
/// convolution on the other side; after the fusions that jobs apply.
inline layers::ModelGraph tiny_bottlenecks() {
    using namespace layers;
    ModelGraph graph("tiny-bottlenecks", Shape{8, 8, 1}, Shape{}, DType::i32);
    const auto conv = [](std::int64_t channels, std::int64_t kernel, std::int64_t stride = 1) {
        return Conv2d{.out_channels = channels,
                      .kernel = {kernel, kernel},
                      .stride = {stride, stride},
                      .padding = {kernel / 2, kernel / 2}};
    };
    const auto relu = [&](const std::string& name, TensorId x) { return graph.add(name, Relu{}, {x}); };
    TensorId x = relu("relu", conv_bn(graph, "conv", "bn", conv(8, 3), graph.input()));
    TensorId y = relu("a.relu1", conv_bn(graph, "a.conv1", "a.bn1", conv(16, 1), x));
    y = relu("a.relu2", conv_bn(graph, "a.conv2", "a.bn2", conv(16, 3), y));
    y = conv_bn(graph, "a.conv3", "a.bn3", conv(8, 1), y);
    x = relu("a.relu3", graph.add("a.add", Add{}, {y, x}));
    y = relu("b.relu1", conv_bn(graph, "b.conv1", "b.bn1", conv(8, 1), x));
    y = relu("b.relu2", conv_bn(graph, "b.conv2", "b.bn2", conv(8, 3, 2), y));
    y = conv_bn(graph, "b.conv3", "b.bn3", conv(16, 1), y);
    y = graph.add("b.add", Add{}, {y, conv_bn(graph, "b.side", "b.side_bn", conv(16, 1, 2), x)});
    x = graph.add("pool", GlobalAveragePool{}, {relu("b.relu3", y)});
    x = linear_bias(graph, "fc", Linear{.out_features = 5}, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return layers::fuse(graph).graph;
}

/// The same in fp16, and with its branches as chains: all of them but the stem, which reads fp32 samples.
inline layers::ModelGraph tiny_bottlenecks_f16() {
    return layers::store_as(tiny_bottlenecks(), DType::f16).graph;
}
inline layers::ModelGraph tiny_chains_f16() {
    const auto all = [](const layers::Conv2d&, const layers::TensorSpec&, bool) { return true; };
    return layers::fuse_conv_norms(tiny_bottlenecks_f16(), all).graph;
}

/// 8x8x1 images, 5 classes: residual blocks without batch norm. Around an identity, with bias and relu; with
/// a convolution on the other side, which comes later; in the form where nothing follows the addition.
inline layers::ModelGraph tiny_conv_residual() {
    using namespace layers;
    ModelGraph graph("tiny-conv-residual", Shape{8, 8, 1}, Shape{}, DType::i32);
    const auto conv = [](std::int64_t channels, std::int64_t kernel, std::int64_t stride) {
        Conv2d op;
        op.out_channels = channels;
        op.kernel = {kernel, kernel};
        op.stride = {stride, stride};
        op.padding = {kernel / 2, kernel / 2};
        return op;
    };
    TensorId x = graph.add("relu", Relu{}, {conv_bias(graph, "stem", conv(6, 3, 1), graph.input())});
    TensorId y = graph.add("a.relu1", Relu{}, {conv_bias(graph, "a.conv1", conv(6, 3, 1), x)});
    y = conv_bias(graph, "a.conv2", conv(6, 3, 1), y);
    x = graph.add("a.relu2", Relu{}, {graph.add("a.add", Add{}, {y, x})});
    y = graph.add("b.relu1", Relu{}, {conv_bias(graph, "b.conv1", conv(12, 3, 2), x)});
    y = conv_bias(graph, "b.conv2", conv(12, 3, 1), y);
    x = graph.add("b.add", Add{}, {y, graph.add("b.side", conv(12, 1, 2), {x})});
    x = graph.add("b.relu2", Relu{}, {x});
    y = graph.add("c.conv", conv(12, 3, 1), {graph.add("c.tanh", Tanh{}, {x})});
    x = graph.add("pool", GlobalAveragePool{}, {graph.add("c.add", Add{}, {x, y})});
    Linear head;
    head.out_features = 5;
    x = linear_bias(graph, "fc", head, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

/// The same after the fusions that jobs apply.
inline layers::ModelGraph tiny_conv_residual_fused() { return layers::fuse(tiny_conv_residual()).graph; }

/// Windows of bytes, one block with two heads, dropout, the table once more as head: all that a GPT has.
inline layers::ModelGraph byte_gpt(std::int64_t positions, std::int64_t width) {
    using namespace layers;
    ModelGraph graph("tiny-gpt", Shape{positions}, Shape{positions}, DType::i32, DType::i32);
    TensorId x = graph.add("wte", Embedding{.vocabulary = 256, .features = width}, {graph.input()});
    const ParamId table = graph.nodes().back().params.front();
    x = graph.add("wpe", PositionEmbedding{}, {x});
    TensorId y =
        linear_bias(graph, "c_attn", Linear{.out_features = 3 * width}, graph.add("ln_1", LayerNorm{}, {x}));
    y = linear_bias(graph, "c_proj", Linear{.out_features = width},
                    graph.add("attn", CausalSelfAttention{.heads = 2}, {y}));
    x = graph.add("add_1", Add{}, {x, graph.add("drop", Dropout{.p = 0.1}, {y})});
    y = linear_bias(graph, "c_fc", Linear{.out_features = 4 * width}, graph.add("ln_2", LayerNorm{}, {x}));
    y = linear_bias(graph, "mlp", Linear{.out_features = width}, graph.add("gelu", Gelu{.tanh = true}, {y}));
    x = graph.add("ln_f", LayerNorm{}, {graph.add("add_2", Add{}, {x, y})});
    x = graph.add_with_params("head", Linear{.out_features = 256}, {x}, {table});
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return layers::fuse_bias_activation(graph).graph;
}

inline layers::ModelGraph tiny_gpt() { return byte_gpt(16, 16); }

}  // namespace trireme::test
