// The fusions behind a batch norm, and the rewrite that stores activations as bf16.
#include "layers/rewrite/rewrite.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "values.hpp"

namespace trireme::layers {
namespace {

constexpr std::int64_t rewritten_batch = 3;

TensorId head(ModelGraph& g, TensorId x) {
    x = g.add("pool", GlobalAveragePool{}, {x});
    x = linear_bias(g, "fc", {.out_features = 3}, x);
    return g.add("loss", SoftmaxCrossEntropy{}, {x, g.target()});
}

Conv2d square() { return {.out_channels = 4, .kernel = {3, 3}, .padding = {1, 1}}; }

/// Two residual blocks: around an identity, and around a convolution with a batch norm of its own.
ModelGraph two_blocks() {
    ModelGraph g("blocks", {5, 4, 2}, {}, DType::i32);
    TensorId x = g.add("relu", Relu{}, {conv_bn(g, "conv", "bn", square(), g.input())});
    TensorId y = conv_bn(g, "a.conv", "a.bn", square(), x);
    x = g.add("a.relu", Relu{}, {g.add("a.add", Add{}, {y, x})});
    y = conv_bn(g, "b.conv", "b.bn", square(), x);
    const TensorId side = conv_bn(g, "b.side", "b.side_bn", {.out_channels = 4}, x);
    x = g.add("b.relu", Relu{}, {g.add("b.add", Add{}, {y, side})});
    head(g, x);
    return g;
}

/// Loss, running statistics and every gradient, in training and evaluation.
void expect_same_function(const ModelGraph& before, const ModelGraph& after) {
    for (bool training : {true, false}) {
        reference::Model a(before);
        reference::Model b(after);
        const std::vector<double> x =
            random_values("x", rewritten_batch * before.tensor(before.input()).shape.elements().value);
        const std::vector<double> target = random_classes("target", rewritten_batch, 3);
        for (auto* side : {&a, &b}) {
            randomize(*side, side == &a ? before : after);
            side->forward(rewritten_batch, x, target, {training, {}});
            side->backward();
            if (training) side->update_buffers();
        }
        EXPECT_NEAR(a.loss_sum(), b.loss_sum(), 1e-12);
        for (std::size_t p = 0; p < before.params().size(); ++p) {
            EXPECT_EQ(before.params()[p].name, after.params()[p].name);
            const auto id = static_cast<ParamId>(p);
            EXPECT_THAT(b.param_gradient(id),
                        testing::Pointwise(testing::DoubleNear(1e-12), a.param_gradient(id)))
                << before.params()[p].name;
        }
        for (std::size_t i = 0; i < before.buffers().size(); ++i) {
            const auto id = static_cast<BufferId>(i);
            EXPECT_EQ(before.buffers()[i].name, after.buffers()[i].name);
            EXPECT_THAT(b.buffer(id), testing::Pointwise(testing::DoubleNear(1e-12), a.buffer(id)));
        }
        EXPECT_THAT(b.input_gradient(), testing::Pointwise(testing::DoubleNear(1e-12), a.input_gradient()));
    }
}

TEST(FuseBatchNorm, TakesInReluAndResidual) {
    const ModelGraph g = two_blocks();
    const Rewritten r = fuse_batch_norm(g);
    EXPECT_THAT(r.lines,
                testing::ElementsAre(
                    "fuse_batch_norm: bn takes in relu: batch_norm(eps=1e-05, momentum=0.1, activation=relu)",
                    "fuse_batch_norm: a.bn takes in a.add and a.relu: batch_norm(eps=1e-05, momentum=0.1, "
                    "residual, activation=relu)",
                    "fuse_batch_norm: b.side_bn takes in b.add and b.relu: batch_norm(eps=1e-05, "
                    "momentum=0.1, residual, activation=relu)"));
    EXPECT_THAT(r.graph.str(),
                testing::HasSubstr("residual, activation=relu) b.side[5, 4, 4] b.bn[5, 4, 4] ->"));
    EXPECT_EQ(r.graph.nodes().size(), g.nodes().size() - 5);
    expect_same_function(g, r.graph);
    EXPECT_TRUE(fuse_batch_norm(r.graph).lines.empty());
    expect_same_function(g, fuse(g).graph);
}

TEST(FuseBatchNorm, LeavesWhatOthersRead) {
    ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
    const TensorId normed = g.add("bn", BatchNorm{}, {g.input()});
    const TensorId clipped = g.add("relu", Relu{}, {normed});
    const TensorId sum = g.add("sum", Add{}, {normed, clipped});
    head(g, sum);
    const Rewritten r = fuse_batch_norm(g);
    EXPECT_TRUE(r.lines.empty());
    EXPECT_EQ(r.graph.str(), g.str());
}

/// y = bn(x) + x would read x twice; three summands are not one residual; a summand that is made later is not
/// there yet.
TEST(FuseBatchNorm, LeavesSumsThatDoNotFit) {
    ModelGraph same("m", {4, 4, 4}, {}, DType::i32);
    TensorId normed = same.add("bn", BatchNorm{}, {same.input()});
    head(same, same.add("sum", Add{}, {normed, same.input()}));
    EXPECT_EQ(fuse_batch_norm(same).graph.str(), same.str());

    ModelGraph three("m", {4, 4, 4}, {}, DType::i32);
    normed = three.add("bn", BatchNorm{}, {three.input()});
    const TensorId other = three.add("tanh", Tanh{}, {three.input()});
    head(three, three.add("sum", Add{}, {normed, other, three.input()}));
    EXPECT_EQ(fuse_batch_norm(three).graph.str(), three.str());

    ModelGraph later("m", {4, 4, 4}, {}, DType::i32);
    normed = later.add("bn", BatchNorm{}, {later.input()});
    head(later, later.add("sum", Add{}, {normed, later.add("tanh", Tanh{}, {later.input()})}));
    EXPECT_EQ(fuse_batch_norm(later).graph.str(), later.str());
}

TEST(FuseBatchNorm, AResidualOfAnotherShapeIsTold) {
    try {
        (void)infer_shape(BatchNorm{.residual = true}, {{4, 4, 2}, {4, 4, 3}});
        FAIL() << "it was taken";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(),
                    testing::HasSubstr("residual has shape [4, 4, 3], but the input has [4, 4, 2]"));
    }
}

TEST(StoreAsBf16, LeavesSamplesLogitsAndLossesInFp32) {
    const ModelGraph g = fuse(lenet()).graph;
    const Rewritten r = store_as_bf16(g);
    for (const TensorSpec& tensor : r.graph.tensors()) {
        const bool precise = tensor.name == "input" || tensor.name == "fc2" || tensor.name == "loss";
        if (tensor.name == "target") continue;
        EXPECT_EQ(tensor.dtype, precise ? DType::f32 : DType::bf16) << tensor.name;
    }
    EXPECT_THAT(r.lines, testing::ElementsAre("store_as_bf16: 5 of 8 activations; samples, logits and losses "
                                              "stay fp32"));
    EXPECT_THAT(r.graph.str(), testing::HasSubstr("-> [24, 24, 20] bf16 conv1.weight"));
    EXPECT_EQ(store_as_bf16(r.graph).graph.str(), r.graph.str());
}

/// What a loss reads through a view is what the view's input holds.
TEST(StoreAsBf16, LogitsBehindAViewStayFp32) {
    ModelGraph g("m", {2, 2, 2}, {8}, DType::f32);
    TensorId x = g.add("tanh", Tanh{}, {g.input()});
    x = g.add("sigmoid", Sigmoid{}, {x});
    x = g.add("flat", Flatten{}, {x});
    g.add("loss", MeanSquaredError{}, {x, g.target()});
    const ModelGraph stored = store_as_bf16(g).graph;
    EXPECT_EQ(stored.tensor(2).dtype, DType::bf16);
    EXPECT_EQ(stored.tensor(3).dtype, DType::f32);
    EXPECT_EQ(stored.tensor(4).dtype, DType::f32);
}

/// A view's memory is its input's, and so is its element type.
TEST(StoreAsBf16, AViewFollowsItsInput) {
    const ModelGraph stored = store_as_bf16(tiny()).graph;
    for (const Node& node : stored.nodes()) {
        if (is_view(node.op)) {
            EXPECT_EQ(stored.tensor(node.output).dtype, DType::bf16);
        }
    }
}

}  // namespace
}  // namespace trireme::layers
