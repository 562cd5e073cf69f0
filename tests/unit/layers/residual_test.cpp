// A graph with branches, buffers and both modes: how it prints, its gradients by finite differences,
// evaluation, and that rewrites carry its buffers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/layers/differences.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

constexpr std::int64_t residual_batch = 3;

/// Nodes `name`, `name_bn` and `name_relu`.
TensorId conv_bn_relu(ModelGraph& graph, const std::string& name, const Conv2d& op, TensorId input) {
    return graph.add(name + "_relu", Relu{}, {conv_bn(graph, name, name + "_bn", op, input)});
}

/// A residual block, a concat, a depthwise convolution, both norms, gelu and dropout, over a vector target.
ModelGraph residual() {
    ModelGraph g("residual", {4, 3, 2}, {3}, DType::f32);
    const TensorId stem =
        conv_bn_relu(g, "stem", {.out_channels = 4, .kernel = {3, 3}, .padding = {1, 1}}, g.input());
    TensorId t =
        conv_bn_relu(g, "a", {.out_channels = 4, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4}, stem);
    t = conv_bn(g, "b.conv", "b.bn", {.out_channels = 4}, t);
    t = g.add("sum", Add{}, {t, stem});
    t = g.add("sum_relu", Relu{}, {t});
    t = g.add("both", Concat{}, {t, g.input()});
    t = g.add("pool", GlobalAveragePool{}, {t});
    t = linear_bias(g, "fc1", {.out_features = 5}, t);
    t = g.add("norm", LayerNorm{}, {t});
    t = g.add("gelu", Gelu{}, {t});
    t = g.add("drop", Dropout{.p = 0.4}, {t});
    t = linear_bias(g, "fc2", {.out_features = 3}, t);
    g.add("loss", BceWithLogits{}, {t, g.target()});
    return g;
}

struct ModeEvaluation {
    ModeEvaluation(const ModelGraph& graph, const reference::Mode& m)
        : mode(m),
          x(random_values("x", residual_batch * 24)),
          target(random_values("target", residual_batch * 3)),
          model(graph) {
        for (double& t : target) t = t > 0 ? 1 : 0;
        randomize(model, graph);
        for (std::size_t b = 0; b < graph.buffers().size(); ++b) {
            const BufferSpec& spec = graph.buffers()[b];
            const std::vector<double> values = random_values(spec.name, spec.shape.elements().value);
            std::span<double> buffer = model.buffer(static_cast<BufferId>(b));
            for (std::size_t i = 0; i < values.size(); ++i) buffer[i] = spec.start + 0.5 * values[i];
        }
        run();
    }
    void run() { model.forward(residual_batch, x, target, mode); }

    reference::Mode mode;
    std::vector<double> x;
    std::vector<double> target;
    reference::Model model;
};

TEST(Residual, GradientsInBothModes) {
    const ModelGraph g = residual();
    for (bool training : {true, false}) {
        SCOPED_TRACE(training);
        ModeEvaluation e(g, {training, {3, 2, 40}});
        e.model.backward();
        const auto loss = [&] {
            e.run();
            return e.model.loss_sum();
        };
        const std::vector<double> d_x(e.model.input_gradient().begin(), e.model.input_gradient().end());
        for (std::size_t p = 0; p < g.params().size(); ++p) {
            const auto id = static_cast<ParamId>(p);
            const std::span<const double> gradient = e.model.param_gradient(id);
            expect_gradient(loss, e.model.param(id), gradient, g.params()[p].name, 1e-7);
        }
        expect_gradient(loss, e.x, d_x, "input", 1e-7);
    }
}

TEST(Residual, ModesAndContextsDiffer) {
    const ModelGraph g = residual();
    ModeEvaluation e(g, {true, {3, 2, 40}});
    const double loss = e.model.loss_sum();
    e.mode.context.step = 3;
    e.run();
    EXPECT_NE(e.model.loss_sum(), loss);  // another mask
    e.mode.training = false;
    e.run();
    const double evaluated = e.model.loss_sum();
    EXPECT_NE(evaluated, loss);
    e.mode.context.step = 4;
    e.run();
    EXPECT_EQ(e.model.loss_sum(), evaluated);
    e.model.buffer(0)[0] += 1;
    e.run();
    EXPECT_NE(e.model.loss_sum(), evaluated);
}

TEST(Residual, PrintsItsBuffers) {
    const ModelGraph g = residual();
    EXPECT_EQ(g.buffers().size(), 6u);
    EXPECT_THAT(g.str(),
                testing::HasSubstr("node stem_bn: batch_norm(eps=1e-05, momentum=0.1) stem[4, 3, 4] -> "
                                   "[4, 3, 4] stem_bn.weight stem_bn.bias stem_bn.running_mean "
                                   "stem_bn.running_var\n"));
    EXPECT_THAT(g.str(),
                testing::HasSubstr("node sum: add() b.bn[4, 3, 4] stem_relu[4, 3, 4] -> [4, 3, 4]\n"));
    EXPECT_THAT(g.str(), testing::HasSubstr("node drop: dropout(p=0.4) gelu[5] -> [5]\n"));
    EXPECT_THAT(g.str(), testing::HasSubstr("param b.bn.weight: [4] ones\n"));
    EXPECT_THAT(g.str(), testing::HasSubstr("buffer b.bn.running_mean: [4] start 0\n"
                                            "buffer b.bn.running_var: [4] start 1\ntotal: "));
    EXPECT_EQ(attributes_of(SoftmaxCrossEntropy{.label_smoothing = 0.1}), "label_smoothing=0.1");
    EXPECT_EQ(attributes_of(Gelu{.tanh = true}), "tanh");
    EXPECT_EQ(statistics_of(BatchNorm{}, {4, 3, 7}), 21);
    EXPECT_EQ(statistics_of(Relu{}, {4, 3, 7}), 0);
}

TEST(Residual, TheRewriteKeepsBuffersAndFunction) {
    const ModelGraph g = residual();
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_THAT(r.lines, testing::ElementsAre(testing::HasSubstr("fc1 takes in fc1_bias"),
                                              testing::HasSubstr("fc2 takes in fc2_bias")));
    ASSERT_EQ(r.graph.buffers().size(), g.buffers().size());
    for (std::size_t b = 0; b < g.buffers().size(); ++b) {
        EXPECT_EQ(r.graph.buffers()[b].name, g.buffers()[b].name);
        EXPECT_EQ(r.graph.buffers()[b].start, g.buffers()[b].start);
    }
    for (bool training : {true, false}) {
        ModeEvaluation before(g, {training, {1, 0, 0}});
        ModeEvaluation after(r.graph, {training, {1, 0, 0}});
        EXPECT_NEAR(before.model.loss_sum(), after.model.loss_sum(), 1e-13);
    }
}

/// Work and traffic of joining ops follow all their inputs.
TEST(Residual, CostsOfJoiningOps) {
    EXPECT_EQ(cost_of(Add{}, {{4}, {4}, {4}}, {4}).forward_flops, 8);
    EXPECT_EQ(cost_of(Add{}, {{4}, {4}, {4}}, {4}).activation_bytes, 4.0 * 16);
    EXPECT_EQ(cost_of(Concat{}, {{4}, {1}}, {5}).activation_bytes, 4.0 * 10);
    EXPECT_EQ(cost_of(BatchNorm{}, {{2, 2, 3}}, {2, 2, 3}).weight_bytes, 24);
}

TEST(Residual, WhatBackwardNeeds) {
    EXPECT_TRUE(backward_needs(BatchNorm{}).input && backward_needs(BatchNorm{}).params);
    EXPECT_TRUE(backward_needs(LayerNorm{}).input && backward_needs(LayerNorm{}).params);
    EXPECT_TRUE(backward_needs(Gelu{}).input);
    EXPECT_TRUE(backward_needs(BceWithLogits{}).target && backward_needs(MeanSquaredError{}).input);
    for (const Op& op : std::vector<Op>{Add{}, Concat{}, Dropout{}, GlobalAveragePool{}}) {
        const BackwardNeeds needs = backward_needs(op);
        EXPECT_FALSE(needs.input || needs.output || needs.params || needs.target) << name_of(op);
    }
    EXPECT_TRUE(is_loss(BceWithLogits{}) && is_loss(MeanSquaredError{}) && is_loss(SoftmaxCrossEntropy{}));
    EXPECT_FALSE(is_loss(Relu{}) || is_loss(Add{}));
    EXPECT_TRUE(reads_more(Add{}) && reads_more(Concat{}));
    EXPECT_FALSE(reads_more(MeanSquaredError{}));
}

TEST(Residual, MistakesAreTold) {
    ModelGraph g = residual();
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add("twice", Add{}, {0, 0});
              }),
              "node twice: add reads input twice: name each input once");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", BatchNorm{}, {2}, {1, 2});
              }),
              "node x: batch_norm has 2 buffers, but 0 are given");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", BatchNorm{}, {2}, {1, 2}, {0, 1});
              }),
              "node x: buffer stem_bn.running_mean belongs to node stem_bn: give each node its own");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", BatchNorm{}, {2}, {1, 2}, {0, 6});
              }),
              "node x: buffer stem_bn.running_mean belongs to node stem_bn: give each node its own");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", BatchNorm{}, {2}, {1, 2}, {6, 0});
              }),
              "node x: buffer 6 does not exist; the model has 6");
    EXPECT_EQ(
        test::message_of<ConfigError>([&] {
            g.add_buffer({"stem.weight", {1}});
        }),
        "model residual: a buffer or parameter stem.weight exists already: names of saved tensors must be "
        "unique");
    EXPECT_THAT(test::message_of<ConfigError>([&] {
                    g.add_param({"stem_bn.running_mean", {1}, {}});
                }),
                testing::HasSubstr("parameter stem_bn.running_mean exists already"));
    g.add_buffer({"other", {3}});
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", BatchNorm{}, {2}, {1, 2}, {6, 6});
              }),
              "node x: batch_norm needs a buffer of shape [4], but other has shape [3]");
    EXPECT_THAT(
        test::message_of<ConfigError>([&] { conv_bn(g, "c", "c_bn", {.out_channels = 2, .bias = true}, 0); }),
        testing::HasSubstr("has a bias or an activation of its own already"));
    EXPECT_EQ(
        test::message_of<ConfigError>([&] {
            ModelGraph m("m", {2, 2, 1}, {4}, DType::f32);
            m.add("loss", MeanSquaredError{}, {m.target(), m.input()});
        }),
        "node loss: mean_squared_error: the target has shape [2, 2, 1], but the outputs have [4]: the model "
        "must end in as many outputs as the data set has targets");
}

}  // namespace
}  // namespace trireme::layers
