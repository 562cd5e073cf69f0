// What a launch promises beyond its numbers: no memory of its own, ties, refusals, bad labels.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels_allocations.hpp"
#include "kernels_support.hpp"
#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"

namespace trireme::test {
namespace {

using layers::Activation;
using layers::Conv2d;
using layers::Linear;
using layers::Pool2d;
using ::testing::HasSubstr;

/// One node, ready to launch.
struct Launch {
    Launch(const NodeCase& c, std::int64_t batch, int threads)
        : graph(graph_of(c)),
          operands(graph, batch, 3),
          kernels(OnednnProvider{}.offer(request_of(graph, batch, threads)).kernels),
          memory(graph, operands, kernels->needs(), batch, RunMode{.threads = threads}) {}

    void step() {
        kernels->pack_forward(stream, memory.b);
        kernels->pack_backward(stream, memory.b);
        kernels->forward(stream, memory.b);
        kernels->backward_activation(stream, memory.b);
        if (!memory.b.params.empty()) kernels->backward_weight(stream, memory.b);
        kernels->backward_input(stream, memory.b);
    }

    layers::ModelGraph graph;
    Operands operands;
    std::unique_ptr<NodeKernels> kernels;
    LaunchMemory memory;
    CpuStream stream;
};

/// Allocations of one step after warm-up.
AllocationCount allocations_of_step(Launch& launch) {
    launch.step();
    launch.step();
    start_counting_allocations();
    launch.step();
    return stop_counting_allocations();
}

TEST(KernelsLaunch, OwnLoopsAllocateNothing) {
    const std::vector<NodeCase> cases{
        {"loss", layers::SoftmaxCrossEntropy{}, {1000}},
        {"bce", layers::BceWithLogits{}, {1000}},
        {"mse", layers::MeanSquaredError{}, {1000}},
        {"batch_norm", layers::BatchNorm{}, {16, 16, 64}},
        {"layer_norm", layers::LayerNorm{}, {256}},
        {"dropout", layers::Dropout{}, {1024}},
        {"add", layers::Add{}, {16, 16, 64}, {64}},
        {"concat", layers::Concat{}, {16, 16, 64}, {32, 16}},
        {"global_average_pool", layers::GlobalAveragePool{}, {16, 16, 64}},
        {"attention", layers::CausalSelfAttention{.heads = 2}, {300, 3 * 2 * 48}},
    };
    for (const NodeCase& c : cases) {
        SCOPED_TRACE(c.name);
        Launch launch(c, 64, 2);
        EXPECT_EQ(allocations_of_step(launch).calls, 0U);
    }
}

// oneDNN itself keeps the arguments of a primitive in a small map for each execution; nothing larger may be
// allocated.
TEST(KernelsLaunch, PrimitivesAllocateNoTensor) {
    const std::vector<NodeCase> cases{
        {"conv",
         Conv2d{.out_channels = 20, .kernel = {5, 5}, .bias = true, .activation = Activation::relu},
         {28, 28, 1}},
        {"linear", Linear{.out_features = 500, .bias = true, .activation = Activation::relu}, {800}},
        {"bias", layers::Bias{}, {24, 24, 20}},
        {"tanh", layers::Tanh{}, {500}},
        {"pool", Pool2d{}, {24, 24, 20}},
    };
    for (const NodeCase& c : cases) {
        SCOPED_TRACE(c.name);
        Launch launch(c, 32, 2);
        EXPECT_LE(allocations_of_step(launch).largest, 2048U);
    }
}

TEST(KernelsLaunch, FirstOfEqualValuesTakesTheGradientOfMaxPool) {
    for (const auto& [channels, kernel] : {std::pair<std::int64_t, std::int64_t>{1, 2}, {16, 2}, {20, 3}}) {
        SCOPED_TRACE(channels);
        const layers::ModelGraph graph =
            graph_of({"pool", Pool2d{.kernel = {kernel, kernel}, .stride = {2, 2}}, {7, 7, channels}});
        Operands operands(graph, 2, 9);
        // Values of few kinds, negative ones too, so that most windows have ties.
        for (float& value : operands.inputs[0]) value = std::round(value * 2.0F) - 1.0F;
        const Results is = run_kernels(graph, OnednnProvider{}, operands, 2, 2);
        const Results should = run_reference(graph, operands, 2);
        EXPECT_LE(relative_error(is.output, should.output), 1e-6);
        EXPECT_LE(relative_error(is.d_inputs[0], should.d_inputs[0]), 1e-6);
    }
}

TEST(KernelsLaunch, FusedReluIsReluBehindTheOp) {
    const NodeCase fused{
        "conv",
        Conv2d{.out_channels = 20, .kernel = {3, 3}, .bias = true, .activation = Activation::relu},
        {9, 9, 4}};
    NodeCase bare = fused;
    std::get<Conv2d>(bare.op).activation = Activation::none;
    const layers::ModelGraph fused_graph = graph_of(fused);
    const layers::ModelGraph bare_graph = graph_of(bare);
    Operands operands(bare_graph, 6, 21);
    const Results behind = run_kernels(fused_graph, OnednnProvider{}, operands, 6, 2);
    Results before = run_kernels(bare_graph, OnednnProvider{}, operands, 6, 2);
    for (std::size_t i = 0; i < before.output.size(); ++i) {
        if (!(before.output[i] > 0)) operands.d_output[i] = 0;
        before.output[i] = std::max(before.output[i], 0.0F);
    }
    const Results masked = run_kernels(bare_graph, OnednnProvider{}, operands, 6, 2);
    EXPECT_LE(relative_error(behind.output, before.output), 1e-6);
    EXPECT_TRUE(same_bits(behind.d_inputs[0], masked.d_inputs[0]));
    EXPECT_TRUE(same_bits(behind.d_params[0], masked.d_params[0]));
    EXPECT_TRUE(same_bits(behind.d_params[1], masked.d_params[1]));
}

TEST(KernelsLaunch, LossIsStableForLargeLogitsAndShowsNan) {
    const layers::ModelGraph graph = graph_of({"loss", layers::SoftmaxCrossEntropy{}, {10}});
    Operands operands(graph, 3, 2);
    for (std::size_t i = 0; i < operands.inputs[0].size(); ++i)
        operands.inputs[0][i] *= i < 10 ? 1e4F : 200.0F;
    Results is = run_kernels(graph, OnednnProvider{}, operands, 3, 1);
    const Results should = run_reference(graph, operands, 3);
    EXPECT_LE(relative_error(is.output, should.output), 1e-6);
    EXPECT_LE(relative_error(is.d_inputs[0], should.d_inputs[0]), 1e-6);
    operands.inputs[0][13] = std::numeric_limits<float>::quiet_NaN();
    is = run_kernels(graph, OnednnProvider{}, operands, 3, 1);
    EXPECT_FALSE(std::isnan(is.output[0]));
    EXPECT_TRUE(std::isnan(is.output[1]));
}

TEST(KernelsLaunch, LabelOutsideTheClassesIsADataError) {
    const layers::ModelGraph graph = graph_of({"loss", layers::SoftmaxCrossEntropy{}, {10}});
    Operands operands(graph, 3, 2);
    operands.labels[2] = 10;
    try {
        (void)run_kernels(graph, OnednnProvider{}, operands, 3, 1);
        FAIL() << "a label of 10 with 10 classes was taken";
    } catch (const DataError& e) {
        EXPECT_THAT(e.what(), HasSubstr("sample 2"));
        EXPECT_THAT(e.what(), HasSubstr("class 10"));
    }
}

TEST(KernelsRefusal, ScratchOverTheCapIsNamed) {
    const layers::ModelGraph graph =
        graph_of({"conv", Conv2d{.out_channels = 50, .kernel = {5, 5}, .bias = true}, {12, 12, 20}});
    KernelRequest request = request_of(graph, 8, 2);
    request.workspace_cap = Bytes(1024);
    EXPECT_THAT(OnednnProvider{}.offer(request).refusal,
                ::testing::AllOf(HasSubstr("workspace of"), HasSubstr("over the cap of 1.0 KiB")));
    EXPECT_EQ(OnednnProvider{}.offer(request).kernels, nullptr);
}

TEST(KernelsRefusal, ViewsAreNotForKernels) {
    const layers::ModelGraph graph = graph_of({"flatten", layers::Flatten{}, {2, 2, 1}});
    EXPECT_THAT(OnednnProvider{}.offer(request_of(graph, 1, 1)).refusal, HasSubstr("view"));
}

TEST(KernelsRefusal, OtherTargetTypesAreNamed) {
    layers::ModelGraph graph("case", {10}, Shape{}, DType::i64);
    bool laid = true;
    try {
        graph.add("loss", layers::SoftmaxCrossEntropy{}, {graph.input(), graph.target()});
    } catch (const ConfigError&) {
        laid = false;  // the graph already refuses such a target
    }
    if (laid) {
        EXPECT_THAT(OnednnProvider{}.offer(request_of(graph, 1, 1)).refusal, HasSubstr("i64"));
    }
}

TEST(KernelsRefusal, InferenceNeedsNoBackwardMemory) {
    const layers::ModelGraph graph = graph_of({"pool", Pool2d{}, {8, 8, 4}});
    KernelRequest request = request_of(graph, 8, 1);
    request.training = false;
    const KernelNeeds needs = OnednnProvider{}.offer(request).kernels->needs();
    EXPECT_EQ(needs.saved.value, 0);
    EXPECT_EQ(needs.backward_scratch.value, 0);
    EXPECT_FALSE(needs.backward_reads_input);
}

}  // namespace
}  // namespace trireme::test
