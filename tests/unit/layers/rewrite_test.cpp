// The fusions behind a batch norm, of two linear layers and of convolutions with residuals, and the rewrite
// that stores activations as bf16.
#include "layers/rewrite/rewrite.hpp"

#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rewritten.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers {
namespace {

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
    expect_alike_when_rewritten(g, r.graph);
    EXPECT_TRUE(fuse_batch_norm(r.graph).lines.empty());
    expect_alike_when_rewritten(g, fuse(g).graph);
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

/// A transformer's block of two linear layers, and a head of two with a relu between them.
ModelGraph two_feed_forwards() {
    ModelGraph g("m", {4, 3, 5}, {}, DType::i32);
    TensorId x = g.add("norm", LayerNorm{}, {g.input()});
    TensorId y = linear_bias(g, "mlp.fc", {.out_features = 8}, x);
    y = g.add("mlp.gelu", Gelu{.tanh = true}, {y});
    y = linear_bias(g, "mlp.proj", {.out_features = 5}, y);
    x = g.add("pool", GlobalAveragePool{}, {g.add("add", Add{}, {g.input(), y})});
    x = g.add("fc1_relu", Relu{}, {linear_bias(g, "fc1", {.out_features = 6}, x)});
    g.add("loss", SoftmaxCrossEntropy{}, {linear_bias(g, "fc2", {.out_features = 3}, x), g.target()});
    return g;
}

TEST(FuseFeedForward, TakesInGeluOrReluAndTheSecondLayer) {
    const ModelGraph g = fuse(two_feed_forwards()).graph;
    const Rewritten r = fuse_feed_forward(g);
    EXPECT_THAT(r.lines,
                testing::ElementsAre("fuse_feed_forward: mlp.fc takes in mlp.gelu and mlp.proj: "
                                     "feed_forward(hidden_features=8, out_features=5, gelu_tanh)",
                                     "fuse_feed_forward: fc1 takes in fc2: feed_forward(hidden_features=6, "
                                     "out_features=3, relu)"));
    EXPECT_THAT(r.graph.str(), testing::HasSubstr("mlp.fc.weight mlp.fc.bias mlp.proj.weight mlp.proj.bias"));
    EXPECT_EQ(r.graph.nodes().size(), g.nodes().size() - 3);
    EXPECT_EQ(r.graph.total_cost().weight_bytes, g.total_cost().weight_bytes);
    expect_alike_when_rewritten(g, r.graph);
    EXPECT_TRUE(fuse_feed_forward(r.graph).lines.empty());
    // What all devices are given has none.
    EXPECT_THAT(g.str(), testing::Not(testing::HasSubstr("feed_forward")));
}

TEST(FuseFeedForward, LeavesWhatOthersReadAndWhatDoesNotFit) {
    const auto stays = [](const std::string& why, const auto& between) {
        ModelGraph g("m", {5}, {}, DType::i32);
        TensorId x = g.add("fc1", Linear{.out_features = 5, .bias = true}, {g.input()});
        x = between(g, x);
        g.add("loss", SoftmaxCrossEntropy{},
              {g.add("fc2", Linear{.out_features = 3, .bias = true}, {x}), g.target()});
        EXPECT_EQ(fuse_feed_forward(g).graph.str(), g.str()) << why;
    };
    const Gelu gelu{.tanh = true};
    stays("no activation", [](ModelGraph&, TensorId x) { return x; });
    stays("the exact gelu", [](ModelGraph& g, TensorId x) { return g.add("gelu", Gelu{}, {x}); });
    stays("a dropout between",
          [&](ModelGraph& g, TensorId x) { return g.add("drop", Dropout{}, {g.add("gelu", gelu, {x})}); });
    stays("the gelu is read twice", [&](ModelGraph& g, TensorId x) {
        x = g.add("gelu", gelu, {x});
        return g.add("add", Add{}, {x, g.add("tanh", Tanh{}, {x})});
    });
    stays("the product is read twice", [&](ModelGraph& g, TensorId x) {
        return g.add("add", Add{}, {x, g.add("gelu", gelu, {x})});
    });
}

TEST(FuseFeedForward, LeavesLayersWithoutABiasAndTiedOnes) {
    ModelGraph bare("m", {5}, {}, DType::i32);
    TensorId x = bare.add("fc1", Linear{.out_features = 4, .bias = true}, {bare.input()});
    x = bare.add("gelu", Gelu{.tanh = true}, {x});
    bare.add("loss", SoftmaxCrossEntropy{}, {bare.add("fc2", Linear{.out_features = 3}, {x}), bare.target()});
    EXPECT_EQ(fuse_feed_forward(bare).graph.str(), bare.str());

    ModelGraph tied("m", {4}, {}, DType::i32);
    x = tied.add("fc1", Linear{.out_features = 4, .bias = true}, {tied.input()});
    const std::vector<ParamId> params = tied.nodes().back().params;
    x = tied.add("gelu", Gelu{.tanh = true}, {x});
    x = tied.add_with_params("again", Linear{.out_features = 4, .bias = true}, {x}, params);
    tied.add("loss", SoftmaxCrossEntropy{},
             {tied.add("fc2", Linear{.out_features = 3, .bias = true}, {x}), tied.target()});
    EXPECT_EQ(fuse_feed_forward(tied).graph.str(), tied.str());
}

/// The second layer's own activation stays where it is: three layers are one and two.
TEST(FuseFeedForward, OfThreeLayersTheLastTwo) {
    ModelGraph g("m", {5}, {}, DType::i32);
    TensorId x =
        g.add("fc1", Linear{.out_features = 4, .bias = true, .activation = Activation::relu}, {g.input()});
    x = g.add("fc2", Linear{.out_features = 6, .bias = true, .activation = Activation::relu}, {x});
    g.add("loss", SoftmaxCrossEntropy{},
          {g.add("fc3", Linear{.out_features = 3, .bias = true}, {x}), g.target()});
    const Rewritten r = fuse_feed_forward(g);
    EXPECT_THAT(r.lines, testing::ElementsAre(testing::HasSubstr("fc2 takes in fc3")));
    expect_alike_when_rewritten(g, r.graph);
}

TEST(FuseFeedForward, MistakesNameTheOp) {
    const auto message = [](const FeedForward& op, const Shape& input) -> std::string {
        try {
            return infer_shape(op, {input}).str();
        } catch (const ConfigError& error) {
            return error.what();
        }
    };
    EXPECT_EQ(message({.hidden_features = 4, .out_features = 3}, {2, 5}), "[2, 3]");
    EXPECT_THAT(message({.out_features = 3}, {5}), testing::HasSubstr("feed_forward: hidden_features is 0"));
    EXPECT_THAT(message({.hidden_features = 3}, {5}), testing::HasSubstr("feed_forward: out_features is 0"));
    EXPECT_THAT(message({.hidden_features = 3, .out_features = 3}, Shape{}),
                testing::HasSubstr("rank 1 or more is needed"));
}

/// Two residual blocks without batch norm: around an identity, with bias and relu, and around a convolution,
/// with neither.
ModelGraph two_blocks_of_convolutions() {
    ModelGraph g("blocks", {5, 4, 2}, {}, DType::i32);
    TensorId x = g.add("relu", Relu{}, {conv_bias(g, "conv", square(), g.input())});
    TensorId y = g.add("a.relu1", Relu{}, {conv_bias(g, "a.conv1", square(), x)});
    y = conv_bias(g, "a.conv2", square(), y);
    x = g.add("a.relu2", Relu{}, {g.add("a.add", Add{}, {x, y})});
    y = g.add("b.conv", square(), {g.add("b.tanh", Tanh{}, {x})});
    head(g, g.add("b.add", Add{}, {y, g.add("b.side", Conv2d{.out_channels = 4}, {x})}));
    return g;
}

TEST(FuseConvolution, TakesInAResidual) {
    const ModelGraph g = two_blocks_of_convolutions();
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_THAT(
        r.lines,
        testing::ElementsAre(
            testing::HasSubstr("conv takes in conv_bias and relu"),
            testing::HasSubstr("a.conv1 takes in a.conv1_bias and a.relu1"),
            "fuse_bias_activation: a.conv2 takes in a.conv2_bias and a.add and a.relu2: "
            "conv2d(out_channels=4, kernel=3x3, stride=1x1, padding=1x1, dilation=1x1, groups=1, bias, "
            "residual, activation=relu)",
            testing::HasSubstr("b.side takes in b.add: conv2d(out_channels=4, kernel=1x1"),
            testing::HasSubstr("fc takes in fc_bias")));
    EXPECT_THAT(r.graph.str(), testing::HasSubstr("residual) a.conv2[5, 4, 4] b.conv[5, 4, 4] ->"));
    EXPECT_EQ(r.graph.nodes().size(), g.nodes().size() - 9);
    expect_alike_when_rewritten(g, r.graph);
    EXPECT_TRUE(fuse(r.graph).lines.empty());
    expect_alike_when_rewritten(g, fuse(g).graph);
}

/// Where a convolution and a batch norm are added, the later of the two takes the addition.
TEST(FuseConvolution, SharesSumsWithBatchNorm) {
    for (const bool norm_first : {true, false}) {
        ModelGraph g("m", {4, 4, 2}, {}, DType::i32);
        const TensorId x = g.add("tanh", Tanh{}, {g.input()});
        TensorId normed = norm_first ? conv_bn(g, "a", "bn", square(), x) : -1;
        const TensorId side = g.add("side", square(), {x});
        if (!norm_first) normed = conv_bn(g, "a", "bn", square(), x);
        head(g, g.add("sum", Add{}, {normed, side}));
        const Rewritten r = fuse(g);
        EXPECT_THAT(r.lines, testing::Contains(testing::HasSubstr(
                                 norm_first ? "side takes in sum: conv2d" : "bn takes in sum: batch_norm")));
        expect_alike_when_rewritten(g, r.graph);
    }
}

/// y = conv(x) + x would read x twice; three summands are not one residual; a summand that is made later is
/// not there yet; what others read must stay.
TEST(FuseConvolution, LeavesSumsThatDoNotFit) {
    const auto expect_left = [](const std::function<TensorId(ModelGraph&, TensorId)>& sum) {
        ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
        head(g, sum(g, g.add("tanh", Tanh{}, {g.input()})));
        const Rewritten r = fuse_bias_activation(g);
        EXPECT_THAT(r.lines, testing::ElementsAre(testing::HasSubstr("fc takes in fc_bias"))) << g.str();
    };
    expect_left([](ModelGraph& g, TensorId x) {
        return g.add("sum", Add{}, {g.add("conv", square(), {x}), x});
    });
    expect_left([](ModelGraph& g, TensorId x) {
        return g.add("sum", Add{}, {g.add("conv", square(), {x}), g.input(), x});
    });
    expect_left([](ModelGraph& g, TensorId x) {
        const TensorId y = g.add("conv", square(), {x});
        return g.add("sum", Add{}, {y, g.add("later", Sigmoid{}, {x})});
    });
    expect_left([](ModelGraph& g, TensorId x) {
        const TensorId y = g.add("conv", square(), {x});
        const TensorId sum = g.add("sum", Add{}, {y, g.input()});
        return g.add("more", Add{}, {sum, g.add("twice", Sigmoid{}, {y})});
    });
}

TEST(FuseConvolution, TakesNoBiasBehindTheSum) {
    ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
    const TensorId y = g.add("conv", square(), {g.add("tanh", Tanh{}, {g.input()})});
    head(g, g.add("shift", Bias{}, {g.add("sum", Add{}, {g.input(), y})}));
    const Rewritten once = fuse_bias_activation(g);
    EXPECT_THAT(once.lines, testing::ElementsAre(testing::HasSubstr("conv takes in sum: conv2d"),
                                                 testing::HasSubstr("fc takes in fc_bias")));
    expect_alike_when_rewritten(g, once.graph);
    EXPECT_TRUE(fuse_bias_activation(once.graph).lines.empty());
}

/// A relu comes along without a bias as well.
TEST(FuseConvolution, TakesInAReluAlone) {
    ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
    head(g, g.add("relu", Relu{}, {g.add("conv", square(), {g.input()})}));
    const Rewritten r = fuse_bias_activation(g);
    EXPECT_THAT(r.lines, testing::Contains(testing::HasSubstr("conv takes in relu: conv2d")));
    expect_alike_when_rewritten(g, r.graph);
}

TEST(PoolBeforeRelu, MovesTheReluBehindThePool) {
    ModelGraph g("m", {5, 7, 4}, {}, DType::i32);
    TensorId x = g.add("relu1", Relu{}, {conv_bn(g, "conv", "bn", square(), g.input())});
    x = g.add("pool1", Pool2d{.kernel = {3, 3}, .padding = {1, 1}}, {x});
    head(g, g.add("pool2", Pool2d{}, {g.add("relu2", Relu{}, {x})}));
    const Rewritten r = pool_before_relu(g);
    EXPECT_THAT(r.lines, testing::ElementsAre("pool_before_relu: pool1 comes before relu1",
                                              "pool_before_relu: pool2 comes before relu2"));
    EXPECT_THAT(r.graph.str(), testing::HasSubstr("activation=relu"));
    expect_alike_when_rewritten(g, r.graph);
    EXPECT_TRUE(pool_before_relu(r.graph).lines.empty());
    expect_alike_when_rewritten(g, fuse(g).graph);
}

/// Others read the relu too; an average is another behind a relu; no other function commutes in this way.
TEST(PoolBeforeRelu, LeavesWhatWouldBeAnotherFunction) {
    const auto expect_left = [](const std::function<TensorId(ModelGraph&)>& pooled) {
        ModelGraph g("m", {4, 4, 2}, {}, DType::i32);
        head(g, pooled(g));
        EXPECT_EQ(pool_before_relu(g).graph.str(), g.str());
    };
    expect_left([](ModelGraph& g) {
        const TensorId x = g.add("relu", Relu{}, {g.input()});
        const TensorId y = g.add("side", Pool2d{}, {x});
        return g.add("sum", Add{}, {y, g.add("mean", Pool2d{.kind = PoolKind::average}, {x})});
    });
    expect_left([](ModelGraph& g) {
        return g.add("p", Pool2d{.kind = PoolKind::average}, {g.add("relu", Relu{}, {g.input()})});
    });
    expect_left([](ModelGraph& g) { return g.add("p", Pool2d{}, {g.add("tanh", Tanh{}, {g.input()})}); });
    expect_left([](ModelGraph& g) {
        return g.add("p", Pool2d{.activation = Activation::relu}, {g.add("relu", Relu{}, {g.input()})});
    });
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
