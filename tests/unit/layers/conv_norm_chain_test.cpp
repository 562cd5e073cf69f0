// Chains of convolutions and batch norms: what the op is made of, and the rewrite that makes them.
#include <functional>

#include "layers/rewrite/rewrite.hpp"
#include "rewritten.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Conv2d three_by_three(std::int64_t channels, std::int64_t stride = 1) {
    return {.out_channels = channels, .kernel = {3, 3}, .stride = {stride, stride}, .padding = {1, 1}};
}

const JoinsNorms all = [](const Conv2d&, const TensorSpec&, bool) { return true; };

/// A stem, a branch of three around an identity, and one of two around a convolution with a stride.
ModelGraph residual_branches() {
    ModelGraph g("branches", {5, 6, 2}, {}, DType::i32);
    TensorId x = g.add("relu", Relu{}, {conv_bn(g, "conv", "bn", three_by_three(4), g.input())});
    TensorId y = g.add("a.relu1", Relu{}, {conv_bn(g, "a.conv1", "a.bn1", {.out_channels = 3}, x)});
    y = g.add("a.relu2", Relu{}, {conv_bn(g, "a.conv2", "a.bn2", three_by_three(3), y)});
    y = conv_bn(g, "a.conv3", "a.bn3", {.out_channels = 4}, y);
    x = g.add("a.relu3", Relu{}, {g.add("a.add", Add{}, {y, x})});
    y = g.add("b.relu1", Relu{}, {conv_bn(g, "b.conv1", "b.bn1", three_by_three(5, 2), x)});
    y = conv_bn(g, "b.conv2", "b.bn2", three_by_three(5), y);
    const TensorId side = conv_bn(g, "b.side", "b.side_bn", {.out_channels = 5, .stride = {2, 2}}, x);
    head(g, g.add("b.relu2", Relu{}, {g.add("b.add", Add{}, {y, side})}));
    return g;
}

std::vector<std::string> chains_of(const ModelGraph& g) {
    std::vector<std::string> names;
    for (const Node& node : g.nodes()) {
        if (const auto* op = std::get_if<ConvNormChain>(&node.op))
            names.push_back(fmt::format("{} of {}", node.name, op->links.size()));
    }
    return names;
}

TEST(FuseConvNorms, JoinsBranchesOfResidualBlocks) {
    const ModelGraph g = fuse(residual_branches()).graph;
    const Rewritten r = fuse_conv_norms(g, all);
    EXPECT_THAT(chains_of(r.graph), ElementsAre("conv of 1", "a.conv1 of 3", "b.conv1 of 2", "b.side of 1"));
    ASSERT_EQ(r.lines.size(), 5U);
    EXPECT_THAT(r.lines[1],
                HasSubstr("fuse_conv_norms: a.conv1 takes in a.bn1 and a.conv2 and a.bn2 and a.conv3 and "
                          "a.bn3: conv_norm_chain([out_channels=3, kernel=1x1"));
    EXPECT_THAT(r.lines[1], HasSubstr("; eps=1e-05, momentum=0.1], residual=input, activation=relu)"));
    EXPECT_THAT(r.lines[3], HasSubstr("; eps=1e-05, momentum=0.1], residual, activation=relu)"));
    // 2 of 5x6x3 and one of 3x3x5 in fp32.
    EXPECT_EQ(r.lines[4], "fuse_conv_norms: 3 normalised activations are not stored, 900 B a sample");
    EXPECT_THAT(r.graph.str(), HasSubstr(" a.conv1.weight a.bn1.weight a.bn1.bias a.conv2.weight "));
    EXPECT_THAT(r.graph.str(), HasSubstr(" a.bn1.running_mean a.bn1.running_var a.bn2.running_mean "));
    expect_alike_when_rewritten(g, r.graph);
    EXPECT_TRUE(fuse_conv_norms(r.graph, all).lines.empty());
    const Cost before = g.total_cost();
    const Cost after = r.graph.total_cost();
    EXPECT_EQ(after.forward_flops, before.forward_flops);
    EXPECT_EQ(after.weight_bytes, before.weight_bytes);
    EXPECT_LT(after.activation_bytes, before.activation_bytes);
}

/// Every link that is not taken ends a chain, and another begins behind it.
TEST(FuseConvNorms, EndsWhereTheDeviceSays) {
    const ModelGraph g = fuse(residual_branches()).graph;
    const auto fused = [&](const std::function<bool(const Conv2d&)>& joins) {
        const Rewritten r =
            fuse_conv_norms(g, [&](const Conv2d& op, const TensorSpec&, bool) { return joins(op); });
        expect_alike_when_rewritten(g, r.graph);
        return chains_of(r.graph);
    };
    EXPECT_THAT(fused([](const Conv2d& op) { return op.kernel[0] == 1; }),
                ElementsAre("a.conv1 of 1", "a.conv3 of 1", "b.side of 1"));
    EXPECT_THAT(fused([](const Conv2d& op) { return op.stride[0] == 1; }),
                ElementsAre("conv of 1", "a.conv1 of 3", "b.conv2 of 1"));
    EXPECT_THAT(fused([](const Conv2d&) { return false; }), ElementsAre());
    const auto not_the_stem = [](const Conv2d&, const TensorSpec& input, bool) {
        return input.shape.dims().back() != 2;
    };
    EXPECT_THAT(chains_of(fuse_conv_norms(g, not_the_stem).graph),
                ElementsAre("a.conv1 of 3", "b.conv1 of 2", "b.side of 1"));
    const auto only_first = [](const Conv2d&, const TensorSpec&, bool inside) { return !inside; };
    EXPECT_THAT(chains_of(fuse_conv_norms(g, only_first).graph),
                ElementsAre("conv of 1", "a.conv1 of 1", "a.conv2 of 1", "a.conv3 of 1", "b.conv1 of 1",
                            "b.conv2 of 1", "b.side of 1"));
}

TEST(FuseConvNorms, LeavesWhatDoesNotFit) {
    using Between = std::function<TensorId(ModelGraph&, TensorId)>;
    const auto chains = [](const Conv2d& conv, const Between& behind_conv, const Between& behind_norm) {
        ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
        TensorId x = g.add("tanh", Tanh{}, {g.input()});
        x = behind_conv(g, g.add("conv1", conv, {x}));
        x = behind_norm(g, g.add("bn1", BatchNorm{}, {x}));
        head(g, conv_bn(g, "conv2", "bn2", three_by_three(4), x));
        const ModelGraph fused = fuse(g).graph;
        expect_alike_when_rewritten(fused, fuse_conv_norms(fused, all).graph);
        return chains_of(fuse_conv_norms(fused, all).graph);
    };
    const Between nothing = [](ModelGraph&, TensorId x) { return x; };
    const auto behind = [](const ModelGraph& g, TensorId x, const std::string& what) {
        return g.tensor(x).name + what;
    };
    const Between relu = [&](ModelGraph& g, TensorId x) { return g.add(behind(g, x, ".relu"), Relu{}, {x}); };
    const Between twice = [&](ModelGraph& g, TensorId x) {
        const TensorId other = g.add(behind(g, x, ".sigmoid"), Sigmoid{}, {x});
        return g.add(behind(g, x, ".sum"), Add{}, {x, other});
    };
    EXPECT_THAT(chains(three_by_three(4), nothing, relu), ElementsAre("conv1 of 2"));
    EXPECT_THAT(chains(three_by_three(4), nothing, nothing), ElementsAre("conv1 of 1", "conv2 of 1"));
    EXPECT_THAT(chains(three_by_three(4), nothing, twice), ElementsAre("conv1 of 1", "conv2 of 1"));
    EXPECT_THAT(chains(three_by_three(4), relu, relu), ElementsAre("conv2 of 1"));
    EXPECT_THAT(chains(three_by_three(4), twice, relu), ElementsAre("conv2 of 1"));
    Conv2d biased = three_by_three(4);
    biased.bias = true;
    EXPECT_THAT(chains(biased, nothing, relu), ElementsAre("conv2 of 1"));
}

/// The last norm adds what is made only after the branch has begun: that link stays out.
TEST(FuseConvNorms, AResidualThatComesLaterStaysOut) {
    ModelGraph g("m", {4, 4, 4}, {}, DType::i32);
    const TensorId x = g.add("tanh", Tanh{}, {g.input()});
    TensorId y = g.add("relu", Relu{}, {conv_bn(g, "conv1", "bn1", three_by_three(4), x)});
    y = g.add("conv2", three_by_three(4), {y});
    const TensorId late = g.add("late", Sigmoid{}, {x});
    head(g, g.add("sum", Add{}, {g.add("bn2", BatchNorm{}, {y}), late}));
    const ModelGraph fused = fuse(g).graph;
    const Rewritten r = fuse_conv_norms(fused, all);
    EXPECT_THAT(chains_of(r.graph), ElementsAre("conv1 of 1"));
    expect_alike_when_rewritten(fused, r.graph);
}

/// A parameter that two nodes read, and tensors of two types.
TEST(FuseConvNorms, LeavesTiedWeightsAndMixedTypes) {
    ModelGraph tied("m", {4, 4, 4}, {}, DType::i32);
    TensorId x = tied.add("conv1", three_by_three(4), {tied.input()});
    const std::vector<ParamId> weight = tied.nodes().back().params;
    x = tied.add("relu", Relu{}, {tied.add("bn1", BatchNorm{}, {x})});
    x = tied.add_with_params("conv2", three_by_three(4), {x}, weight);
    head(tied, tied.add("bn2", BatchNorm{}, {x}));
    EXPECT_THAT(chains_of(fuse_conv_norms(fuse(tied).graph, all).graph), ElementsAre());

    const ModelGraph half = store_as(fuse(residual_branches()).graph, DType::f16).graph;
    const Rewritten r = fuse_conv_norms(half, all);
    EXPECT_THAT(chains_of(r.graph), ElementsAre("a.conv1 of 3", "b.conv1 of 2", "b.side of 1"))
        << "the stem reads fp32 samples";
    EXPECT_EQ(r.lines.back(), "fuse_conv_norms: 3 normalised activations are not stored, 450 B a sample");
    for (const Node& node : r.graph.nodes()) {
        if (!std::holds_alternative<ConvNormChain>(node.op)) continue;
        EXPECT_EQ(r.graph.tensor(node.output).dtype, DType::f16);
    }
}

TEST(ConvNormChain, HasANormForEachLink) {
    const ConvNormChain op{.links = {{three_by_three(5, 2), {.momentum = 0.5}}, {{.out_channels = 3}, {}}}};
    const Shape in{7, 4, 2};
    EXPECT_THAT(norms_of(op, in), ElementsAre(NormSpec{5, 4 * 2, 0.5}, NormSpec{3, 4 * 2, 0.1}));
    EXPECT_EQ(statistics_of(op, in), 3 * 8);
    EXPECT_EQ(infer_shape(op, {in}).str(), "[4, 2, 3]");
    EXPECT_EQ(params_of(op, in, "n").size(), 6U);
    EXPECT_EQ(params_of(op, in, "n")[3].name, "n.1.conv.weight");
    EXPECT_EQ(buffers_of(op, in, "n")[2].name, "n.1.norm.running_mean");
    EXPECT_TRUE(multiplies_weight(op));
}

TEST(ConvNormChain, MistakesNameTheOp) {
    const auto message = [](const ConvNormChain& op, const std::vector<Shape>& inputs) -> std::string {
        try {
            return infer_shape(op, inputs).str();
        } catch (const ConfigError& error) {
            return error.what();
        }
    };
    const Shape in{4, 4, 2};
    EXPECT_THAT(message({}, {in}), HasSubstr("conv_norm_chain: has no links"));
    EXPECT_THAT(message({.links = {{{.out_channels = 2, .bias = true}, {}}}}, {in}),
                HasSubstr("a link has a bias"));
    EXPECT_THAT(message({.links = {{{.out_channels = 3}, {}}}, .residual = ChainResidual::input}, {in}),
                HasSubstr("conv_norm_chain: the residual has shape [4, 4, 2], but the output has [4, 4, 3]"));
    EXPECT_THAT(message({.links = {{{.out_channels = 3}, {}}}, .residual = ChainResidual::second}, {in}),
                HasSubstr("conv_norm_chain: 1 inputs are given, but it reads 2"));
}

}  // namespace
}  // namespace trireme::layers
