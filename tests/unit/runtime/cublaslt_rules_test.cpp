// What the cublaslt provider takes and needs, told without a device.
#include "runtime/kernels/rules/cublaslt_rules.hpp"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/alignment.hpp"
#include "runtime/kernels/rules/cublaslt_steps.hpp"

namespace trireme {
namespace {

using cublaslt::Epilogue;
using cublaslt::NodeSteps;
using cublaslt::Product;
using layers::ModelGraph;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t mebibyte = std::int64_t{1} << 20;

/// One node behind a relu, which has an element type as a model's input cannot.
ModelGraph graph_of(const layers::Op& op, const Shape& input, DType in, DType out) {
    ModelGraph graph("rules", input, {}, DType::i32);
    const layers::TensorId x = graph.add("front", layers::Relu{}, {graph.input()});
    graph.store_as(x, in);
    graph.store_as(graph.add("op", op, {x}), out);
    return graph;
}

KernelRequest request_of(const ModelGraph& graph, std::int64_t batch) {
    KernelRequest request;
    request.graph = &graph;
    request.node = 1;
    request.batch = batch;
    request.workspace_cap = Bytes(512 * mebibyte);
    return request;
}

std::vector<Epilogue> epilogues_of(const std::vector<cublaslt::LaunchStep>& pass) {
    std::vector<Epilogue> epilogues;
    for (const auto& step : pass)
        if (const auto* product = std::get_if<Product>(&step)) epilogues.push_back(product->epilogue);
    return epilogues;
}

std::size_t conversions_in(const std::vector<cublaslt::LaunchStep>& pass) {
    return static_cast<std::size_t>(std::count_if(pass.begin(), pass.end(), [](const auto& step) {
        return std::holds_alternative<cublaslt::Convert>(step);
    }));
}

NodeSteps steps_of(const ModelGraph& graph, std::int64_t batch, const DeviceModel& device = {}) {
    cublaslt::StepsOffer offer = cublaslt::steps_of(request_of(graph, batch), device);
    EXPECT_EQ(offer.refusal, "");
    return std::move(*offer.steps);
}

const layers::FeedForward mlp{.hidden_features = 3072, .out_features = 768};

TEST(CublasltRules, ALinearLayerOfGptInBf16) {
    const ModelGraph graph =
        graph_of(layers::Linear{.out_features = 2304, .bias = true}, {1024, 768}, DType::bf16, DType::bf16);
    const NodeSteps steps = steps_of(graph, 32);
    const KernelNeeds& needs = steps.rules.needs;
    EXPECT_EQ(steps.rules.implementation, "matmul:bf16, workspace 32.0 MiB");
    EXPECT_TRUE(needs.backward_reads_input);
    EXPECT_FALSE(needs.backward_reads_output);
    EXPECT_EQ(needs.forward_weights.value, 2 * 2304 * 768 + 2 * 2304);
    EXPECT_EQ(needs.backward_weights.value, 2 * 2304 * 768);
    EXPECT_EQ(needs.saved.value, 0);
    EXPECT_EQ(needs.forward_scratch.value, 32 * mebibyte + workspace_reserve);
    EXPECT_EQ(needs.backward_scratch.value, 32 * mebibyte + workspace_reserve);
    EXPECT_THAT(epilogues_of(steps.forward), ElementsAre(Epilogue::bias));
    EXPECT_THAT(epilogues_of(steps.backward_weight), ElementsAre(Epilogue::sum_a));
    EXPECT_THAT(epilogues_of(steps.backward_input), ElementsAre(Epilogue::none));
    EXPECT_THAT(steps.backward_activation, IsEmpty());
    EXPECT_EQ(conversions_in(steps.forward) + conversions_in(steps.backward_weight), 0U);
}

TEST(CublasltRules, Fp32ReadsItsParametersAsTheyLie) {
    const ModelGraph graph =
        graph_of(layers::Linear{.out_features = 10, .bias = true, .activation = layers::Activation::relu},
                 {500}, DType::f32, DType::f32);
    const NodeSteps steps = steps_of(graph, 64);
    EXPECT_THAT(steps.pack_forward, IsEmpty());
    EXPECT_THAT(steps.pack_backward, IsEmpty());
    EXPECT_TRUE(steps.rules.needs.backward_reads_output);
    EXPECT_THAT(epilogues_of(steps.forward), ElementsAre(Epilogue::relu_bias));
    EXPECT_EQ(steps.backward_activation.size(), 1U);
    EXPECT_EQ(steps.rules.implementation, "matmul:tf32, workspace 32.0 MiB");
    const NodeSteps exact = steps_of(graph, 64, {.sm = 80, .tf32 = false});
    EXPECT_EQ(exact.rules.implementation, "matmul:fp32, workspace 4.0 MiB");
}

TEST(CublasltRules, EvaluationAndFirstLayersDoLess) {
    const ModelGraph graph =
        graph_of(layers::Linear{.out_features = 8, .bias = true}, {16}, DType::f16, DType::f16);
    KernelRequest request = request_of(graph, 4);
    request.input_gradient = false;
    const NodeSteps first = std::move(*cublaslt::steps_of(request, {}).steps);
    EXPECT_THAT(first.backward_input, IsEmpty());
    EXPECT_EQ(first.rules.needs.backward_weights.value, 0);
    request.training = false;
    const NodeSteps evaluation = std::move(*cublaslt::steps_of(request, {}).steps);
    EXPECT_THAT(evaluation.backward_weight, IsEmpty());
    EXPECT_EQ(evaluation.rules.needs.backward_scratch.value, 0);
    EXPECT_FALSE(evaluation.rules.needs.backward_reads_input);
}

/// u and h are kept; d_u takes the place of h; two products have gelu or its gradient as epilogues.
TEST(CublasltRules, AFeedForwardOfGpt) {
    const ModelGraph graph = graph_of(mlp, {1024, 768}, DType::bf16, DType::bf16);
    const NodeSteps steps = steps_of(graph, 32);
    const std::int64_t rows = 32 * 1024;
    EXPECT_EQ(steps.rules.implementation, "matmul:bf16 gelu and dgelu inside, workspace 32.0 MiB");
    EXPECT_EQ(steps.rules.needs.saved.value, 2 * rows * 3072 * 2);
    EXPECT_THAT(epilogues_of(steps.forward), ElementsAre(Epilogue::gelu_aux_bias, Epilogue::bias));
    EXPECT_THAT(epilogues_of(steps.backward_weight),
                ElementsAre(Epilogue::sum_a, Epilogue::dgelu, Epilogue::sum_a));
    EXPECT_THAT(epilogues_of(steps.backward_input), ElementsAre(Epilogue::none));
    EXPECT_EQ(conversions_in(steps.pack_forward), 4U);
    EXPECT_EQ(conversions_in(steps.pack_backward), 1U);
    EXPECT_EQ(conversions_in(steps.backward_weight), 1U);  // the second weight

    layers::FeedForward relu = mlp;
    relu.activation_inside = layers::HiddenActivation::relu;
    const ModelGraph masked = graph_of(relu, {1024, 768}, DType::bf16, DType::bf16);
    EXPECT_EQ(steps_of(masked, 32).rules.needs.saved.value, rows * 3072 / 8 + rows * 3072 * 2);
}

/// 2,048 logits of 50,257 classes have gradients of 392 MiB in fp32, 196 MiB in bf16.
TEST(CublasltRules, TheGradientOfLogitsIsConvertedInPieces) {
    const ModelGraph graph =
        graph_of(layers::Linear{.out_features = 50257}, {1024, 768}, DType::bf16, DType::f32);
    const NodeSteps two = steps_of(graph, 2);
    EXPECT_EQ(conversions_in(two.backward_weight), 1U);
    const NodeSteps many = steps_of(graph, 32);
    EXPECT_EQ(conversions_in(many.backward_weight), 13U);
    EXPECT_EQ(conversions_in(many.backward_input), 13U);
    const KernelNeeds& needs = many.rules.needs;
    EXPECT_GT(needs.backward_scratch.value, 256 * mebibyte);
    EXPECT_LE(needs.backward_scratch.value, (256 + 32 + 8) * mebibyte);
    for (const auto& step : many.backward_weight) {
        if (const auto* product = std::get_if<Product>(&step)) {
            EXPECT_EQ(product->d.at.offset % 256, 0);
        }
    }
}

TEST(CublasltRules, TheCapCutsTheWorkspaceFirst) {
    const ModelGraph graph = graph_of(layers::Linear{.out_features = 64}, {512}, DType::f32, DType::bf16);
    KernelRequest request = request_of(graph, 1024);  // 1 MiB of samples in bf16
    request.workspace_cap = Bytes(3 * mebibyte);
    const RuleOffer smaller = CublasltRules{}.offer(request, {});
    ASSERT_TRUE(smaller.rules.has_value());
    EXPECT_EQ(smaller.rules->implementation, "matmul:bf16, workspace 2.0 MiB");
    EXPECT_LE(smaller.rules->needs.forward_scratch.value, 3 * mebibyte);
    EXPECT_GT(smaller.rules->needs.forward_scratch.value, 3 * mebibyte - workspace_alignment);
    request.workspace_cap = Bytes(mebibyte / 2);
    EXPECT_EQ(CublasltRules{}.offer(request, {}).refusal,
              "workspace of 1.0 MiB over the cap of 512.0 KiB (job.workspace_mb)");
}

TEST(CublasltRules, RefusesInWords) {
    const auto refusal = [](const layers::Op& op, DType in, DType out, const DeviceModel& device = {}) {
        const ModelGraph graph = graph_of(op, {4, 8}, in, out);
        return CublasltRules{}.offer(request_of(graph, 2), device).refusal;
    };
    const layers::Linear linear{.out_features = 8};
    EXPECT_EQ(refusal(linear, DType::bf16, DType::bf16), "");
    EXPECT_THAT(refusal(layers::Tanh{}, DType::f32, DType::f32),
                HasSubstr("linear layers and feed-forwards"));
    EXPECT_THAT(refusal(linear, DType::bf16, DType::f16), HasSubstr("the input is bf16 and the output f16"));
    EXPECT_THAT(refusal(linear, DType::f32, DType::f32, {.sm = 75}), HasSubstr("compute capability 7.5"));
    const ModelGraph graph = graph_of(linear, {std::int64_t{1} << 20, 8}, DType::f32, DType::f32);
    EXPECT_THAT(CublasltRules{}.offer(request_of(graph, 4096), {}).refusal,
                HasSubstr("cuBLASLt counts to 2147483647"));
}

TEST(CublasltRules, WorkspaceOfEachGeneration) {
    EXPECT_EQ(cublaslt::advised_workspace(80).value, 4 * mebibyte);
    EXPECT_EQ(cublaslt::advised_workspace(90).value, 32 * mebibyte);
    EXPECT_EQ(cublaslt::advised_workspace(100).value, 32 * mebibyte);
    EXPECT_EQ(cublaslt::advised_workspace(120).value, 12 * mebibyte);
}

}  // namespace
}  // namespace trireme
