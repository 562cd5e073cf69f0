// The printed graph (a contract: the plan hash is taken over it), parameters, readers and costs.
#include "layers/graph.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

TEST(Graph, PrintsAsStableText) {
    EXPECT_EQ(
        tiny().str(),
        "model tiny: input [7, 6, 2] f32, target [] i32\n"
        "node conv1: conv2d(out_channels=4, kernel=3x2, stride=1x1, padding=1x0, dilation=1x1, groups=1) "
        "input[7, 6, 2] -> [7, 5, 4] conv1.weight\n"
        "node conv1_bias: bias() conv1[7, 5, 4] -> [7, 5, 4] conv1.bias\n"
        "node relu1: relu() conv1_bias[7, 5, 4] -> [7, 5, 4]\n"
        "node pool1: max_pool2d(kernel=2x2, stride=2x2, padding=0x0) relu1[7, 5, 4] -> [3, 2, 4]\n"
        "node flatten: flatten() pool1[3, 2, 4] -> [24]\n"
        "node fc1: linear(out_features=5) flatten[24] -> [5] fc1.weight\n"
        "node fc1_bias: bias() fc1[5] -> [5] fc1.bias\n"
        "node tanh1: tanh() fc1_bias[5] -> [5]\n"
        "node fc2: linear(out_features=3) tanh1[5] -> [3] fc2.weight\n"
        "node fc2_bias: bias() fc2[3] -> [3] fc2.bias\n"
        "node loss: softmax_cross_entropy() fc2_bias[3] target[] -> []\n"
        "param conv1.weight: [4, 2, 3, 2] uniform(0.707106781)\n"
        "param conv1.bias: [4] zeros\n"
        "param fc1.weight: [5, 24] uniform(0.5)\n"
        "param fc1.bias: [5] zeros\n"
        "param fc2.weight: [3, 5] uniform(1.09544512)\n"
        "param fc2.bias: [3] zeros\n"
        "total: 11 nodes, 195 parameters; a sample: 4103 flop forward, 7698 backward, 4064 bytes of "
        "activations "
        "moved forward\n");
}

TEST(Graph, PrintsFusedAttributesAndPools) {
    EXPECT_EQ(
        attributes_of(Conv2d{.out_channels = 2, .bias = true, .activation = Activation::relu}),
        "out_channels=2, kernel=1x1, stride=1x1, padding=0x0, dilation=1x1, groups=1, bias, activation=relu");
    EXPECT_EQ(attributes_of(Conv2d{.out_channels = 2, .residual = true}),
              "out_channels=2, kernel=1x1, stride=1x1, padding=0x0, dilation=1x1, groups=1, residual");
    EXPECT_EQ(attributes_of(Linear{.out_features = 3, .bias = true, .activation = Activation::relu}),
              "out_features=3, bias, activation=relu");
    EXPECT_EQ(name_of(Pool2d{.kind = PoolKind::average}), "average_pool2d");
}

TEST(Graph, KnowsItsEndsAndReaders) {
    const ModelGraph g = lenet();
    EXPECT_EQ(g.tensor(g.input()).name, "input");
    EXPECT_EQ(g.tensor(g.target()).name, "target");
    EXPECT_EQ(g.tensor(g.loss()).name, "loss");
    EXPECT_EQ(g.tensor(g.logits()).name, "fc2_bias");
    EXPECT_EQ(g.readers_of(g.input()), std::vector<NodeId>{0});
    EXPECT_TRUE(g.readers_of(g.loss()).empty());
    EXPECT_EQ(g.parameter_count(), Elements(431080));
}

TEST(Graph, ParametersHaveStableNamesAndHeBounds) {
    const ModelGraph g = lenet();
    std::vector<std::string> names;
    for (const ParamSpec& spec : g.params()) names.push_back(spec.name);
    EXPECT_EQ(names, (std::vector<std::string>{"conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias",
                                               "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}));
    EXPECT_EQ(g.param(2).shape, (Shape{50, 20, 5, 5}));
    EXPECT_DOUBLE_EQ(g.param(2).init.scale, std::sqrt(6.0 / 500));
    EXPECT_EQ(g.param(3).init, (Init{Init::Kind::zeros, 0}));
    // Grouped convolutions read only their group's channels.
    const auto specs = params_of(Conv2d{.out_channels = 6, .kernel = {3, 1}, .groups = 2}, {5, 5, 4}, "c");
    EXPECT_EQ(specs[0].shape, (Shape{6, 2, 3, 1}));
    EXPECT_DOUBLE_EQ(specs[0].init.scale, 1.0);
}

TEST(Graph, CostsOfKnownLayers) {
    const Cost conv = cost_of(Conv2d{.out_channels = 50, .kernel = {5, 5}}, {{12, 12, 20}}, {8, 8, 50});
    EXPECT_EQ(conv.forward_flops, 2.0 * 8 * 8 * 50 * 20 * 25);
    EXPECT_EQ(conv.backward_input_flops, conv.forward_flops);
    EXPECT_EQ(conv.backward_weight_flops, conv.forward_flops);
    EXPECT_EQ(conv.activation_bytes, 4.0 * (12 * 12 * 20 + 8 * 8 * 50));
    EXPECT_EQ(conv.weight_bytes, 4.0 * 50 * 20 * 25);
    const Cost grouped = cost_of(Conv2d{.out_channels = 4, .groups = 2}, {{3, 3, 6}}, {3, 3, 4});
    EXPECT_EQ(grouped.forward_flops, 2.0 * 3 * 3 * 4 * 3);
    // A residual is read and added; its gradient passes unchanged.
    const Shape sum{3, 3, 4};
    const Cost added =
        cost_of(Conv2d{.out_channels = 4, .groups = 2, .residual = true}, {{3, 3, 6}, sum}, sum);
    EXPECT_EQ(added.forward_flops, grouped.forward_flops + 3 * 3 * 4);
    EXPECT_EQ(added.backward_input_flops, grouped.backward_input_flops);
    EXPECT_EQ(added.backward_weight_flops, grouped.backward_weight_flops);
    EXPECT_EQ(added.activation_bytes, grouped.activation_bytes + 4.0 * 3 * 3 * 4);
    const Cost linear =
        cost_of(Linear{.out_features = 500, .bias = true, .activation = Activation::relu}, {{800}}, {500});
    EXPECT_EQ(linear.forward_flops, 2.0 * 800 * 500 + 2 * 500);
    EXPECT_EQ(linear.weight_bytes, 4.0 * (800 * 500 + 500));
    const Cost flatten = cost_of(Flatten{}, {{4, 4}}, {16});
    EXPECT_EQ(flatten.forward_flops + flatten.activation_bytes + flatten.weight_bytes, 0);
}

/// The figure that is known for a step of 64 samples: 0.88 GFLOP in convolutions and linear layers; all other
/// ops add less than two percent.
TEST(Graph, CostOfALeNetStep) {
    const ModelGraph g = lenet();
    double products = 0;
    for (const Node& node : g.nodes()) {
        if (!std::holds_alternative<Conv2d>(node.op) && !std::holds_alternative<Linear>(node.op)) continue;
        const Cost c = cost_of(node.op, {g.tensor(node.inputs[0]).shape}, g.tensor(node.output).shape);
        products += 64 * (c.forward_flops + c.backward_input_flops + c.backward_weight_flops);
    }
    EXPECT_EQ(products, 880512000.0);
    const Cost all = g.total_cost();
    const double step = 64 * (all.forward_flops + all.backward_input_flops + all.backward_weight_flops);
    EXPECT_GT(step, products);
    EXPECT_LT(step, 1.02 * products);
}

TEST(Graph, WhatBackwardNeeds) {
    EXPECT_TRUE(backward_needs(Conv2d{}).input && backward_needs(Conv2d{}).params);
    EXPECT_FALSE(backward_needs(Conv2d{}).output);
    EXPECT_TRUE(backward_needs(Linear{.activation = Activation::relu}).output);
    EXPECT_TRUE(backward_needs(Relu{}).output && backward_needs(Tanh{}).output &&
                backward_needs(Sigmoid{}).output);
    EXPECT_FALSE(backward_needs(Relu{}).input);
    EXPECT_TRUE(backward_needs(Pool2d{}).input);
    EXPECT_FALSE(backward_needs(Pool2d{.kind = PoolKind::average}).input);
    EXPECT_FALSE(backward_needs(Pool2d{}).output);
    EXPECT_TRUE(backward_needs(Pool2d{.activation = Activation::relu}).output);
    EXPECT_TRUE(backward_needs(SoftmaxCrossEntropy{}).input && backward_needs(SoftmaxCrossEntropy{}).target);
    EXPECT_FALSE(backward_needs(Bias{}).input || backward_needs(Bias{}).output ||
                 backward_needs(Bias{}).params);
    EXPECT_TRUE(is_view(Flatten{}));
    EXPECT_FALSE(is_view(Relu{}));
}

}  // namespace
}  // namespace trireme::layers
