// Which plans a job may run: the emulated library offers some that it may not, first of all. And how plans
// run on streams and in CUDA graphs.
#include <cudnn_frontend.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/cudnn/graphs.hpp"
#include "tests/emulated/cudnn/graph_trial.hpp"

namespace trireme::emulated {
namespace {

using cudnn::GraphKind;
using cudnn::GraphSpec;
using testing::ElementsAre;

GraphSpec convolution(DType dtype) {
    return {.dtype = dtype,
            .conv = {.batch = 2,
                     .input = {6, 5},
                     .output = {6, 5},
                     .channels = 8,
                     .out_channels = 16,
                     .kernel = {3, 3},
                     .padding = {1, 1}},
            .tf32 = false,
            .workspace = 1 << 20};
}

class Engines : public testing::Test {
  protected:
    [[nodiscard]] std::vector<std::string> candidates(const GraphSpec& spec) {
        const auto graph = trial_.planned(spec);
        return graph == nullptr ? std::vector<std::string>() : graph->candidates();
    }
    /// The bytes of all operands behind a run of a plan.
    [[nodiscard]] std::unique_ptr<TrialOperands> after(const GraphSpec& spec, const std::string& plan) {
        auto operands = std::make_unique<TrialOperands>(spec);
        fill(*operands, 7);
        const TrialBuffer workspace(spec.workspace);
        const auto graph = trial_.planned(spec);
        std::string why;
        EXPECT_TRUE(graph != nullptr && graph->take(plan, why)) << why;
        trial_.run(*graph, *operands, workspace.data());
        trial_.wait();
        return operands;
    }
    /// Of the last tensor, next to its definition, in units of its largest number.
    [[nodiscard]] double off(const GraphSpec& spec, const TrialOperands& got) {
        const TrialOperands want(spec);
        fill(want, 7);
        const TrialBuffer workspace(spec.workspace);
        test::HostGraphs::run({spec}, trial_.stream(), want.operands(), workspace.data());
        const std::size_t last = want.tensors().size() - 1;
        double difference = 0;
        double largest = 0;
        want.host(last).for_each([&](auto... index) {
            largest = std::max(largest, std::abs(want.host(last).get(index...)));
            difference =
                std::max(difference, std::abs(want.host(last).get(index...) - got.host(last).get(index...)));
        });
        return difference / largest;
    }

    GraphTrial trial_;
};

constexpr const char* small_tile = "eng4_k2=4_k13=0";
constexpr const char* large_tile = "eng4_k2=8_k13=0";

TEST_F(Engines, OfFp32RoundNoOperands) {
    GraphSpec spec = convolution(DType::f32);
    EXPECT_THAT(candidates(spec), ElementsAre("eng1", "eng2", "eng5", "eng6"));
    spec.deterministic = true;
    EXPECT_THAT(candidates(spec), ElementsAre("eng2", "eng5", "eng6"));
}

TEST_F(Engines, RoundFp32WhereTheJobAllowsIt) {
    GraphSpec spec = convolution(DType::f32);
    spec.tf32 = true;
    spec.deterministic = true;
    EXPECT_THAT(candidates(spec), ElementsAre("eng2", small_tile, large_tile, "eng5", "eng6"));
    const double rounded = off(spec, *after(spec, small_tile));
    EXPECT_LT(rounded, 2e-3);
    EXPECT_GT(rounded, 2 * tolerance(DType::f32, DType::f32)) << "TF32 cannot be told from fp32";
    EXPECT_LT(off(spec, *after(spec, "eng5")), tolerance(DType::f32, DType::f32));
}

TEST_F(Engines, OfCanonicalJobsRepeatTheirBits) {
    GraphSpec spec = convolution(DType::f32);
    EXPECT_TRUE(after(spec, "eng5")->same_bytes(*after(spec, "eng5")));
    const auto graph = trial_.planned(spec);
    std::string why;
    ASSERT_TRUE(graph->take("eng1", why));
    std::vector<std::unique_ptr<TrialOperands>> runs;
    for (int run = 0; run < 2; ++run) {
        runs.push_back(std::make_unique<TrialOperands>(spec));
        fill(*runs.back(), 7);
        trial_.run(*graph, *runs.back(), nullptr);
    }
    trial_.wait();
    EXPECT_FALSE(runs[0]->same_bytes(*runs[1])) << "a plan that may differ from run to run does not";
    EXPECT_LT(off(spec, *runs[0]), tolerance(DType::f32, DType::f32));
}

TEST_F(Engines, FitTheirWorkspace) {
    GraphSpec spec = convolution(DType::bf16);
    EXPECT_THAT(candidates(spec), ElementsAre("eng1", "eng2", small_tile, large_tile, "eng5", "eng6"));
    spec.workspace = 4096;
    EXPECT_THAT(candidates(spec), ElementsAre("eng1", "eng2", small_tile, "eng5", "eng6"));
    spec.workspace = 0;
    EXPECT_THAT(candidates(spec), ElementsAre("eng1", "eng2", "eng5", "eng6"));
}

TEST_F(Engines, ThatCannotBeBuiltArePassedOver) {
    GraphSpec spec = convolution(DType::f16);
    spec.deterministic = true;
    const auto graph = trial_.planned(spec);
    std::string why;
    EXPECT_FALSE(graph->take("eng2", why));
    EXPECT_EQ(why, "engine 2 cannot be built for this graph");
    EXPECT_TRUE(graph->take_first(why));
    EXPECT_EQ(graph->name(), small_tile);
}

/// Each plan that may serve gives what the definition gives.
TEST_F(Engines, AllComputeTheGraph) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
        const GraphSpec spec = convolution(dtype);
        const auto graph = trial_.planned(spec);
        for (const std::string& name : graph->candidates()) {
            std::string why;
            if (graph->take(name, why)) trial_.check(*graph, spec);
        }
    }
}

/// The first plan of all is one that no job may run: it is far off.
TEST_F(Engines, ThatReduceInLessAreFarOff) {
    namespace fe = cudnn_frontend;
    const GraphSpec spec = convolution(DType::f32);
    fe::graph::Graph graph;
    graph.set_sm_version(90);
    cudnn::describe(spec, graph);
    ASSERT_TRUE(graph.validate().is_good());
    ASSERT_TRUE(graph.build_operation_graph(trial_.handle()).is_good());
    ASSERT_TRUE(graph.create_execution_plans({fe::HeurMode_t::A}).is_good());
    ASSERT_TRUE(graph.build_plan_at_index(0).is_good());
    const TrialOperands operands(spec);
    fill(operands, 7);
    std::unordered_map<std::int64_t, void*> memory;
    for (std::size_t i = 0; i < operands.tensors().size(); ++i) memory[cudnn::tensor_id(i)] = operands.at(i);
    ASSERT_TRUE(graph.execute_plan_at_index(trial_.handle(), memory, nullptr, 0).is_good());
    trial_.wait();
    EXPECT_GT(off(spec, operands), 0.05);
}

/// Work in front of a plan on its stream is done before the plan reads.
TEST_F(Engines, ReadWhenTheStreamGetsThere) {
    const GraphSpec spec = convolution(DType::f32);
    const auto graph = trial_.planned(spec);
    std::string why;
    ASSERT_TRUE(graph->take("eng5", why));
    const TrialOperands changed(spec);
    const TrialOperands later(spec);
    fill(changed, 7);
    fill(later, 8);
    cuda::check(
        cudaMemcpyAsync(changed.at(0), later.at(0), static_cast<std::size_t>(changed.tensors()[0].bytes()),
                        cudaMemcpyDefault, trial_.stream().native()),
        "changing an operand");
    trial_.run(*graph, changed, nullptr);
    trial_.wait();
    const TrialOperands want(spec);
    fill(want, 7);
    std::memcpy(want.at(0), later.at(0), static_cast<std::size_t>(want.tensors()[0].bytes()));
    const TrialBuffer workspace(spec.workspace);
    test::HostGraphs::run({spec}, trial_.stream(), want.operands(), workspace.data());
    expect_near(spec.dtype, changed, want);
}

/// A CUDA graph that captured a plan runs it on what lies in memory at each replay, also when the plan is
/// gone.
TEST_F(Engines, AreReplayedByCudaGraphs) {
    GraphSpec spec{.kind = GraphKind::attention_forward,
                   .dtype = DType::bf16,
                   .attention = {1, 2, 16, 8},
                   .keeps = true,
                   .workspace = 1 << 20};
    auto plan = trial_.planned(spec);
    std::string why;
    ASSERT_TRUE(plan->take_first(why));
    const TrialOperands operands(spec);
    fill(operands, 1);
    const TrialBuffer workspace(spec.workspace);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t replay = nullptr;
    const cudaStream_t stream = trial_.stream().native();
    cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capturing");
    trial_.run(*plan, operands, workspace.data());
    cuda::check(cudaStreamEndCapture(stream, &graph), "capturing");
    cuda::check(cudaGraphInstantiate(&replay, graph, 0), "instantiating");
    plan.reset();
    for (const std::uint32_t seed : {2U, 3U}) {
        const TrialOperands want(spec);
        fill(want, seed);
        operands.copy_from(want);
        cuda::check(cudaGraphLaunch(replay, stream), "replaying");
        trial_.wait();
        test::HostGraphs::run({spec}, trial_.stream(), want.operands(), workspace.data());
        expect_near(spec.dtype, operands, want);
    }
    cuda::check(cudaGraphExecDestroy(replay), "ending");
    cuda::check(cudaGraphDestroy(graph), "ending");
}

}  // namespace
}  // namespace trireme::emulated
