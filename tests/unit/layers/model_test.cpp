// Whole graphs: gradients by finite differences, tensors and parameters with several readers, and the rewrite
// that fuses bias and activation.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/differences.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

constexpr std::int64_t batch = 3;

struct Evaluation {
    explicit Evaluation(const ModelGraph& graph)
        : x(random_values("x", batch * graph.tensor(0).shape.elements().value)),
          target(random_classes("target", batch, 3)),
          model(graph) {
        randomize(model, graph);
        run();
    }
    void run() { model.forward(batch, x, target); }

    std::vector<double> x;
    std::vector<double> target;
    reference::Model model;
};

void expect_gradients(const ModelGraph& graph) {
    Evaluation e(graph);
    e.model.backward();
    const auto loss = [&] {
        e.run();
        return e.model.loss_sum();
    };
    const std::vector<double> d_x(e.model.input_gradient().begin(), e.model.input_gradient().end());
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const auto id = static_cast<ParamId>(p);
        expect_gradient(loss, e.model.param(id), e.model.param_gradient(id), graph.params()[p].name, 1e-7);
    }
    expect_gradient(loss, e.x, d_x, "input", 1e-7);
}

TEST(Model, GradientsOfASmallNetwork) { expect_gradients(tiny()); }

TEST(Model, GradientsOfTheFusedNetwork) { expect_gradients(fuse_bias_activation(tiny()).graph); }

/// Readers that lead nowhere give a tensor no gradient, whether they stand before or behind the one that
/// leads to the loss, and must not wipe out what it gave.
TEST(Model, ATensorWithSeveralReadersGetsTheSum) {
    ModelGraph g("fan_out", {4}, {}, DType::i32);
    const TensorId a = g.add("a", Linear{.out_features = 3, .bias = true}, {g.input()});
    g.add("idle_before", Linear{.out_features = 2}, {a});
    const TensorId b = g.add("b", Sigmoid{}, {a});
    g.add("idle_behind", Tanh{}, {a});
    g.add("idle_input", Relu{}, {g.input()});
    g.add("loss", SoftmaxCrossEntropy{}, {b, g.target()});
    EXPECT_EQ(g.readers_of(a).size(), 3u);
    expect_gradients(g);
}

TEST(Model, AParameterWithSeveralUsesGetsTheSum) {
    ModelGraph g("tied", {3}, {}, DType::i32);
    TensorId t = g.add("first", Linear{.out_features = 3}, {g.input()});
    t = g.add("tanh", Tanh{}, {t});
    t = g.add_with_params("second", Linear{.out_features = 3}, {t}, {0});
    t = g.add("pooled", Sigmoid{}, {t});
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    EXPECT_EQ(g.params().size(), 1u);
    expect_gradients(g);
}

TEST(Model, GradientsAreOfTheSumOverSamples) {
    const ModelGraph g = tiny();
    Evaluation whole(g);
    whole.model.backward();
    std::vector<double> sum(whole.model.param_gradient(0).size());
    double loss = 0;
    const std::size_t sample = whole.x.size() / batch;
    for (std::size_t n = 0; n < batch; ++n) {
        reference::Model one(g);
        randomize(one, g);
        one.forward(1, std::span(whole.x).subspan(n * sample, sample), std::span(whole.target).subspan(n, 1));
        one.backward();
        loss += one.loss_sum();
        for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += one.param_gradient(0)[i];
    }
    EXPECT_NEAR(loss, whole.model.loss_sum(), 1e-12);
    for (std::size_t i = 0; i < sum.size(); ++i) EXPECT_NEAR(sum[i], whole.model.param_gradient(0)[i], 1e-12);
}

TEST(Model, BackwardOverwritesAndRepeats) {
    const ModelGraph g = tiny();
    Evaluation f(g);
    f.model.backward();
    const std::vector<double> first(f.model.param_gradient(0).begin(), f.model.param_gradient(0).end());
    f.run();
    f.model.backward();
    EXPECT_TRUE(std::equal(first.begin(), first.end(), f.model.param_gradient(0).begin()));
}

TEST(Model, WrongSizesAreCaught) {
    const ModelGraph g = tiny();
    reference::Model model(g);
    const std::vector<double> x(84);
    const std::vector<double> target(2);
    EXPECT_THROW(model.forward(2, x, target), InternalError);
    EXPECT_THROW(model.forward(1, x, target), InternalError);
}

/// Values, parameter gradients and losses of both graphs, to 1e-12.
void expect_same_function(const ModelGraph& before, const ModelGraph& after) {
    ASSERT_EQ(before.params().size(), after.params().size());
    Evaluation a(before);
    Evaluation b(after);
    a.model.backward();
    b.model.backward();
    EXPECT_NEAR(a.model.loss_sum(), b.model.loss_sum(), 1e-12);
    for (std::size_t p = 0; p < before.params().size(); ++p) {
        const auto id = static_cast<ParamId>(p);
        EXPECT_EQ(before.param(id).name, after.param(id).name);
        EXPECT_EQ(before.param(id).shape, after.param(id).shape);
        EXPECT_EQ(before.param(id).init, after.param(id).init);
        const auto da = a.model.param_gradient(id);
        const auto db = b.model.param_gradient(id);
        for (std::size_t i = 0; i < da.size(); ++i) ASSERT_NEAR(da[i], db[i], 1e-12) << before.param(id).name;
    }
    const auto logits_a = a.model.value(before.logits());
    const auto logits_b = b.model.value(after.logits());
    for (std::size_t i = 0; i < logits_a.size(); ++i) ASSERT_NEAR(logits_a[i], logits_b[i], 1e-12);
}

TEST(Rewrite, LeNetFusesAndSaysSo) {
    const Rewritten r = fuse_bias_activation(lenet());
    std::vector<std::string> names;
    for (const Node& node : r.graph.nodes()) names.push_back(node.name);
    EXPECT_THAT(names,
                testing::ElementsAre("conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2", "loss"));
    EXPECT_THAT(r.lines,
                testing::ElementsAre(
                    "fuse_bias_activation: conv1 takes in conv1_bias and relu1: "
                    "conv2d(out_channels=20, kernel=5x5, stride=1x1, padding=0x0, dilation=1x1, "
                    "groups=1, bias, activation=relu)",
                    testing::HasSubstr("conv2 takes in conv2_bias and relu2"),
                    "fuse_bias_activation: fc1 takes in fc1_bias and relu3: linear(out_features=500, "
                    "bias, activation=relu)",
                    "fuse_bias_activation: fc2 takes in fc2_bias: linear(out_features=10, bias)"));
    EXPECT_EQ(r.graph.parameter_count(), lenet().parameter_count());
    EXPECT_EQ(r.graph.tensor(r.graph.logits()).name, "fc2");
}

TEST(Rewrite, KeepsTheFunctionAndTheParameters) {
    const ModelGraph g = tiny();
    expect_same_function(g, fuse_bias_activation(g).graph);
}

TEST(Rewrite, DoesNothingTheSecondTime) {
    const Rewritten once = fuse_bias_activation(lenet());
    const Rewritten twice = fuse_bias_activation(once.graph);
    EXPECT_TRUE(twice.lines.empty());
    EXPECT_EQ(once.graph.str(), twice.graph.str());
}

TEST(Rewrite, TakesAReluBehindABiasOfItsOwn) {
    ModelGraph g("m", {4}, {}, DType::i32);
    TensorId t = g.add("fc", Linear{.out_features = 3, .bias = true}, {g.input()});
    t = g.add("relu", Relu{}, {t});
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_EQ(r.graph.nodes().size(), 2u);
    expect_same_function(g, r.graph);
}

TEST(Rewrite, LeavesAProductWithTwoReaders) {
    ModelGraph g("m", {4}, {}, DType::i32);
    const TensorId t = linear_bias(g, "fc", {.out_features = 3}, g.input());
    g.add("second_reader", Tanh{}, {g.node(0).output});
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_TRUE(r.lines.empty());
    EXPECT_EQ(r.graph.str(), g.str());
}

TEST(Rewrite, FusesTheBiasButNotAReluBesideAnotherReader) {
    ModelGraph g("m", {4}, {}, DType::i32);
    const TensorId biased = linear_bias(g, "fc", {.out_features = 3}, g.input());
    const TensorId t = g.add("relu", Relu{}, {biased});
    g.add("second_reader", Tanh{}, {biased});
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_THAT(r.lines, testing::ElementsAre("fuse_bias_activation: fc takes in fc_bias: "
                                              "linear(out_features=3, bias)"));
    EXPECT_EQ(r.graph.nodes().size(), 4u);
    expect_same_function(g, r.graph);
}

TEST(Rewrite, LeavesTanhAndBiasesOfOtherOps) {
    ModelGraph g("m", {4}, {}, DType::i32);
    TensorId t = g.add("tanh", Tanh{}, {g.input()});
    t = g.add("shift", Bias{}, {t});
    t = g.add("relu", Relu{}, {t});
    g.add("loss", SoftmaxCrossEntropy{}, {t, g.target()});
    EXPECT_EQ(fuse_bias_activation(g).graph.str(), g.str());
}

}  // namespace
}  // namespace trireme::layers
