// What the rules of the cudnn provider take and refuse, which graphs a node becomes, and where their tensors
// lie; without CUDA.
#include "runtime/kernels/rules/cudnn_rules.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/rules/cudnn_chain_plans.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"

namespace trireme {
namespace {

using cudnn::GraphKind;
using cudnn::GraphSpec;
using layers::ModelGraph;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A network of one node, and the request for its kernels.
class OneNode {
  public:
    OneNode(const layers::Op& op, const Shape& input, DType output = DType::f32, DType in = DType::f32)
        : graph_("case", input, Shape{}, DType::i32) {
        const layers::TensorId front = graph_.add("front", layers::Relu{}, {graph_.input()});
        graph_.store_as(front, in);
        graph_.store_as(graph_.add("node", op, {front}), output);
        request.graph = &graph_;
        request.node = 1;
        request.batch = 4;
    }
    OneNode(const OneNode&) = delete;
    OneNode& operator=(const OneNode&) = delete;

    [[nodiscard]] RuleOffer offer(const DeviceModel& device = {}) const {
        return CudnnRules().offer(request, device);
    }
    [[nodiscard]] std::vector<GraphSpec> graphs(const DeviceModel& device = {}) const {
        return cudnn::graphs_of(request, device);
    }
    [[nodiscard]] cudnn::ConvPlan conv_plan() const {
        const NodeView view(request);
        return cudnn::plan_of(std::get<layers::Conv2d>(view.node.op), view, {}).plan.value();
    }

    KernelRequest request;

  private:
    ModelGraph graph_;
};

constexpr layers::Conv2d conv3x3() {
    return {.out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}, .bias = true};
}

TEST(CudnnRules, AConvolutionHasComputeCopiesOfItsWeights) {
    const OneNode node(conv3x3(), {6, 5, 16}, DType::bf16, DType::bf16);
    const RuleOffer offer = node.offer();
    ASSERT_TRUE(offer.rules) << offer.refusal;
    EXPECT_EQ(offer.rules->implementation, "conv:bf16");
    const KernelNeeds& needs = offer.rules->needs;
    EXPECT_EQ(needs.forward_weights.value, 8 * 9 * 16 * 2 + 64) << "weights, and the bias behind them";
    EXPECT_EQ(needs.backward_weights.value, 8 * 9 * 16 * 2);
    EXPECT_TRUE(needs.backward_reads_input);
    EXPECT_FALSE(needs.backward_reads_output);
    EXPECT_EQ(needs.saved.value, 0);
}

/// Plans of older versions with a residual all round fp32 to TF32.
TEST(CudnnRules, ResidualsAreAddedBehindWhereNoPlanKeepsFp32) {
    for (const bool tf32 : {false, true}) {
        for (const int version : {91300, 91801})
            EXPECT_EQ(cudnn::adds_residual_inside(DType::f32, tf32, version), tf32 || version == 91801);
    }
    EXPECT_TRUE(cudnn::adds_residual_inside(DType::bf16, false, 91300));
}

TEST(CudnnRules, MastersThatLieRightAreReadAsTheyLie) {
    for (const auto& [op, input] : std::vector<std::pair<layers::Conv2d, Shape>>{
             {{.out_channels = 8}, {6, 5, 16}},                                      // one tap
             {{.out_channels = 8, .kernel = {5, 5}}, {6, 5, 1}},                     // one channel
             {{.out_channels = 16, .kernel = {3, 3}, .groups = 16}, {6, 5, 16}}}) {  // one a group
        const RuleOffer offer = OneNode(op, input).offer();
        ASSERT_TRUE(offer.rules);
        EXPECT_EQ(offer.rules->needs.forward_weights.value, 0);
        EXPECT_EQ(offer.rules->needs.backward_weights.value, 0);
        EXPECT_GT(OneNode(op, input, DType::f16).offer().rules->needs.forward_weights.value, 0);
    }
    EXPECT_GT(OneNode(conv3x3(), {6, 5, 16}).offer().rules->needs.forward_weights.value, 0);
}

TEST(CudnnRules, OperandsOfAnotherTypeAreConvertedInScratch) {
    const cudnn::ConvPlan samples = OneNode(conv3x3(), {6, 5, 16}, DType::bf16).conv_plan();
    EXPECT_EQ(samples.compute, DType::bf16);
    EXPECT_TRUE(samples.forward_parts.x && samples.weight_parts.x && samples.input_parts.d_x);
    EXPECT_FALSE(samples.forward_parts.y || samples.weight_parts.d_y || samples.input_parts.d_y);
    const cudnn::ConvPlan logits = OneNode(conv3x3(), {6, 5, 16}, DType::f32, DType::f16).conv_plan();
    EXPECT_EQ(logits.compute, DType::f16);
    EXPECT_FALSE(logits.forward_parts.x || logits.weight_parts.x || logits.input_parts.d_x);
    EXPECT_TRUE(logits.forward_parts.y && logits.weight_parts.d_y && logits.input_parts.d_y);
}

TEST(CudnnRules, GraphsAreOfTheWholeLaunch) {
    OneNode node(conv3x3(), {6, 5, 16}, DType::bf16, DType::bf16);
    const std::vector<GraphSpec> graphs = node.graphs();
    ASSERT_EQ(graphs.size(), 3U);
    EXPECT_THAT(graphs[0].str(),
                HasSubstr("conv_forward bf16 4 x 6x5x16 -> 6x5x8 kernel 3x3 padding 1x1 bias workspace "));
    EXPECT_EQ(graphs[1].kind, GraphKind::conv_weight_gradient);
    EXPECT_EQ(graphs[2].kind, GraphKind::conv_input_gradient);
    node.request.input_gradient = false;
    EXPECT_EQ(node.graphs().size(), 2U);
    node.request.training = false;
    EXPECT_EQ(node.graphs().size(), 1U);
    const auto canonical = node.graphs({.deterministic = true, .tf32 = false});
    EXPECT_TRUE(canonical[0].deterministic);
    EXPECT_THAT(canonical[0].str(), HasSubstr(" deterministic workspace "));
}

/// cuDNN's axes are NCHW; strides say that channels lie innermost, of images and weights.
TEST(CudnnRules, TensorsLieAsNhwcAndKrsc) {
    const GraphSpec forward = OneNode(conv3x3(), {6, 5, 16}, DType::bf16, DType::bf16).graphs().front();
    const auto tensors = cudnn::tensors_of(forward);
    ASSERT_EQ(tensors.size(), 4U);
    EXPECT_EQ(tensors[0].name, "x");
    EXPECT_THAT(tensors[0].extents, ElementsAre(4, 16, 6, 5));
    EXPECT_THAT(tensors[0].strides, ElementsAre(6 * 5 * 16, 1, 5 * 16, 16));
    EXPECT_THAT(tensors[1].extents, ElementsAre(8, 16, 3, 3));
    EXPECT_THAT(tensors[1].strides, ElementsAre(3 * 3 * 16, 1, 3 * 16, 16));
    EXPECT_THAT(tensors[2].extents, ElementsAre(1, 8, 1, 1));
    EXPECT_THAT(tensors[3].strides, ElementsAre(6 * 5 * 8, 1, 5 * 8, 8));
    EXPECT_TRUE(tensors[3].written);
    EXPECT_EQ(tensors[0].bytes(), 4 * 6 * 5 * 16 * 2);
}

TEST(CudnnRules, AttentionReadsPackedRows) {
    const OneNode node(layers::CausalSelfAttention{.heads = 2}, {10, 3 * 2 * 16}, DType::f16, DType::f16);
    const RuleOffer offer = node.offer();
    ASSERT_TRUE(offer.rules) << offer.refusal;
    EXPECT_EQ(offer.rules->implementation, "attention:fp16");
    EXPECT_EQ(offer.rules->needs.saved.value, 4 * 2 * 10 * 4);
    EXPECT_TRUE(offer.rules->needs.backward_reads_input && offer.rules->needs.backward_reads_output);
    const auto graphs = node.graphs();
    ASSERT_EQ(graphs.size(), 2U);
    const auto tensors = cudnn::tensors_of(graphs[1]);
    ASSERT_EQ(tensors.size(), 9U);
    EXPECT_THAT(tensors[1].extents, ElementsAre(4, 2, 10, 16));
    EXPECT_THAT(tensors[1].strides, ElementsAre(10 * 96, 16, 96, 1)) << "k";
    EXPECT_THAT(tensors[3].strides, ElementsAre(10 * 32, 16, 32, 1)) << "out";
    EXPECT_EQ(tensors[5].dtype, DType::f32) << "stats";
}

layers::ConvNormChain bottleneck() {
    const layers::ConvNorm narrow{{.out_channels = 8}, {}};
    const layers::ConvNorm square{{.out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}}, {}};
    const layers::ConvNorm wide{{.out_channels = 16}, {}};
    return {{narrow, square, wide}, layers::ChainResidual::input, layers::Activation::relu};
}

TEST(CudnnRules, AChainKeepsRawResultsAndFoldedNorms) {
    const OneNode node(bottleneck(), {6, 5, 16}, DType::f16, DType::f16);
    const RuleOffer offer = node.offer();
    ASSERT_TRUE(offer.rules) << offer.refusal;
    EXPECT_EQ(offer.rules->implementation, "chain:fp16 of 3");
    const KernelNeeds& needs = offer.rules->needs;
    // 4 samples of 30 positions in fp16; vectors of 8 and 16 take 64 bytes each; a bit a value for the relu.
    const std::int64_t inner = 4 * 30 * 8 * 2 + 4 * 64;
    const std::int64_t last = 4 * 30 * 16 * 2 + 2 * 64;
    EXPECT_EQ(needs.saved.value, 2 * inner + last + 4 * 30 * 16 / 8 + 16) << "rounded up to 64";
    EXPECT_EQ(needs.forward_weights.value, 8 * 16 * 2 + 8 * 9 * 8 * 2 + 16 * 8 * 2);
    EXPECT_EQ(needs.backward_weights.value, 8 * 16 * 2) << "of the first convolution alone";
    EXPECT_TRUE(needs.backward_reads_input);
    EXPECT_FALSE(needs.backward_reads_output);
    EXPECT_FALSE(needs.forward_in_place);
}

TEST(CudnnRules, GraphsOfAChainAreJoined) {
    OneNode node(bottleneck(), {6, 5, 16}, DType::f16, DType::f16);
    const auto kinds = [&](const DeviceModel& device) {
        std::vector<GraphKind> list;
        for (const GraphSpec& graph : node.graphs(device)) {
            list.push_back(graph.kind);
            EXPECT_EQ(graph.dtype, DType::f16);
        }
        return list;
    };
    const std::vector<GraphKind> inner{GraphKind::normalized_conv_statistics,
                                       GraphKind::normalized_weight_gradient,
                                       GraphKind::input_gradient_norm_sums};
    std::vector<GraphKind> all{GraphKind::conv_statistics, GraphKind::conv_weight_gradient,
                               GraphKind::conv_input_gradient};
    for (int i = 0; i < 2; ++i) all.insert(all.end(), inner.begin(), inner.end());
    EXPECT_EQ(kinds({.sm = 90}), all);
    // Before sm_90 the gradient of the input and its sums are apart.
    std::replace(all.begin(), all.end(), GraphKind::input_gradient_norm_sums, GraphKind::conv_input_gradient);
    EXPECT_EQ(kinds({.sm = 80}), all);
    node.request.training = false;
    EXPECT_EQ(kinds({}), std::vector<GraphKind>(3, GraphKind::conv_forward));
}

TEST(CudnnRules, WhatJoinsNorms) {
    const auto joins = cudnn::joins_norms({.samples = 4, .scratch = Bytes(std::int64_t{64} << 20)});
    const layers::TensorSpec input{"x", {6, 5, 16}, DType::f16};
    const layers::Conv2d conv{.out_channels = 8, .kernel = {3, 3}, .stride = {2, 2}};
    EXPECT_TRUE(joins(conv, input, false) && joins(conv, input, true));
    for (const DType dtype : {DType::f32, DType::bf16})
        EXPECT_FALSE(joins(conv, {"x", {6, 5, 16}, dtype}, false)) << name_of(dtype);
    EXPECT_FALSE(joins(conv, {"x", {6, 5, 3}, DType::f16}, false));
    EXPECT_FALSE(joins({.out_channels = 12}, input, false));
    EXPECT_FALSE(joins({.out_channels = 8, .groups = 2}, input, false));
    EXPECT_FALSE(joins({.out_channels = 8, .dilation = {2, 1}}, input, false));
    EXPECT_FALSE(joins({.out_channels = 8, .kernel = {6, 6}}, input, false));
    // What is inside a chain is made again in scratch: it must fit.
    const layers::TensorSpec large{"x", {512, 512, 16}, DType::f16};
    EXPECT_TRUE(joins(conv, large, false));
    EXPECT_FALSE(joins(conv, large, true));
}

TEST(CudnnRules, RefuseInWords) {
    const auto refusal = [](const OneNode& node, const DeviceModel& device = {}) {
        return node.offer(device).refusal;
    };
    EXPECT_THAT(refusal(OneNode(layers::Relu{}, {4})), HasSubstr("asked for convolutions, chains"));
    EXPECT_THAT(refusal(OneNode(conv3x3(), {6, 5, 16}, DType::bf16, DType::f16)),
                HasSubstr("two 16-bit types"));
    EXPECT_THAT(refusal(OneNode(conv3x3(), {6, 5, 16}), {.cudnn = 91200}),
                HasSubstr("cuDNN 9.12.0 is older than 9.13.0"));
    EXPECT_THAT(refusal(OneNode(conv3x3(), {6, 5, 16}), {.sm = 75}), HasSubstr("compute capability 7.5"));

    EXPECT_THAT(refusal(OneNode(bottleneck(), {6, 5, 16}, DType::f16)),
                HasSubstr("a chain has one element type, not f32 and f16"));
    const auto attention = [](std::int64_t positions, std::int64_t width, DType dtype) {
        return OneNode(layers::CausalSelfAttention{.heads = 1}, {positions, 3 * width}, dtype, dtype);
    };
    EXPECT_THAT(refusal(attention(8, 16, DType::f32)), HasSubstr("of bf16 or fp16"));
    EXPECT_THAT(refusal(attention(8, 12, DType::bf16)), HasSubstr("12 wide: cuDNN takes multiples of 8"));
    EXPECT_EQ(refusal(attention(8, 256, DType::bf16)), "");
    EXPECT_THAT(refusal(attention(8, 264, DType::bf16)), HasSubstr("takes 256 at most"));
    EXPECT_THAT(refusal(attention(8, 256, DType::bf16), {.sm = 80}), HasSubstr("takes 128 at most"));
    EXPECT_THAT(refusal(attention(1, 16, DType::bf16)), HasSubstr("no gradient for one position"));
}

/// A convolution's workspace shrinks with the cap, since slower plans need none; a conversion and attention's
/// accumulators cannot.
TEST(CudnnRules, TheCapIsKept) {
    OneNode node(conv3x3(), {6, 5, 16}, DType::bf16);
    const auto scratch = [&] {
        const KernelNeeds needs = node.offer().rules->needs;
        return std::max(needs.forward_scratch, needs.backward_scratch).value;
    };
    EXPECT_GT(scratch(), 1 << 20);
    node.request.workspace_cap = Bytes(64 << 10);
    EXPECT_LE(scratch(), 64 << 10);
    for (const GraphSpec& graph : node.graphs()) EXPECT_LT(graph.workspace, 64 << 10);
    node.request.workspace_cap = Bytes(1024);
    EXPECT_THAT(node.offer().refusal, HasSubstr("over the cap of 1.0 KiB (job.workspace_mb)"));

    OneNode chain(bottleneck(), {6, 5, 16}, DType::f16, DType::f16);
    chain.request.workspace_cap = Bytes(64 << 10);
    ASSERT_TRUE(chain.offer().rules) << chain.offer().refusal;
    EXPECT_LE(chain.offer().rules->needs.backward_scratch.value, 64 << 10);
    chain.request.workspace_cap = Bytes(2048);
    EXPECT_THAT(chain.offer().refusal, HasSubstr("over the cap of 2.0 KiB"));

    OneNode attention(layers::CausalSelfAttention{.heads = 2}, {64, 3 * 2 * 16}, DType::bf16, DType::bf16);
    attention.request.workspace_cap = Bytes(64 << 10);
    EXPECT_THAT(attention.offer().refusal, HasSubstr("over the cap of 64.0 KiB"));
}

}  // namespace
}  // namespace trireme
