// Training with chains of convolutions and batch norms, next to the same network with a node for each:
// through the executor, with cuDNN's graphs by their definitions.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/hostrun/host_backend.hpp"
#include "tests/multirank/training_run.hpp"

namespace trireme::hostrun {
namespace {

layers::ModelGraph tiny_chains_f32() {
    const auto all = [](const layers::Conv2d&, const layers::TensorSpec&, bool) { return true; };
    return layers::fuse_conv_norms(test::tiny_bottlenecks(), all).graph;
}

class ChainTraining : public TrainingTest {
  protected:
    static RunSetup setup_of(layers::ModelGraph (*graph)(), std::int64_t steps) {
        RunSetup setup{.batch = 24, .steps = steps, .lr = 0.02};
        setup.graph = graph;
        setup.backend = [](int rank) {
            Backend backend = host_run_backend(static_cast<Order>((rank + 1) % 3));
            backend.providers.front() = std::make_unique<HostCudnn>();  // for plain convolutions, too
            return backend;
        };
        ++census().cases;
        return setup;
    }
    static std::vector<double> losses(const RunSetup& setup) {
        std::vector<double> list;
        for (const StepRecord& step : run(setup))
            list.push_back(step.loss_sum / static_cast<double>(step.samples));
        return list;
    }
    /// The gradients of a step by the parameters' names.
    static std::map<std::string, std::vector<float>> gradients(const layers::ModelGraph& graph,
                                                               const StepRecord& step) {
        const GradBuckets buckets(graph, Bytes(2048));  // as the run has them
        std::map<std::string, std::vector<float>> named;
        for (const layers::ParamSpec& spec : graph.params()) {
            const auto id = static_cast<layers::ParamId>(&spec - graph.params().data());
            const float* first = step.gradients.data() + buckets.place(id).offset;
            named[spec.name] = {first, first + buckets.place(id).elements};
        }
        return named;
    }
};

int chains_in(const layers::ModelGraph& graph) {
    return static_cast<int>(std::count_if(
        graph.nodes().begin(), graph.nodes().end(),
        [](const layers::Node& node) { return std::holds_alternative<layers::ConvNormChain>(node.op); }));
}

/// In fp32 nothing but the order of sums differs.
TEST_F(ChainTraining, GradientsAreThoseOfTheSeparateNodes) {
    const layers::ModelGraph plain = test::tiny_bottlenecks();
    const layers::ModelGraph chains = tiny_chains_f32();
    ASSERT_EQ(chains_in(chains), 4);
    const auto want = gradients(plain, run(setup_of(test::tiny_bottlenecks, 1)).front());
    const auto got = gradients(chains, run(setup_of(tiny_chains_f32, 1)).front());
    ASSERT_EQ(got.size(), want.size());
    float largest = 0;
    for (const auto& [name, values] : want) {
        for (const float value : values) largest = std::max(largest, std::abs(value));
    }
    for (const auto& [name, values] : want) {
        for (std::size_t i = 0; i < values.size(); ++i)
            ASSERT_NEAR(got.at(name).at(i), values[i], 2e-5F * largest) << name << " element " << i;
    }
}

TEST_F(ChainTraining, CurvesAreThoseOfTheSeparateNodes) {
    constexpr std::int64_t steps = 10;
    const std::vector<double> fp32 = losses(setup_of(test::tiny_bottlenecks, steps));
    const std::vector<double> chains = losses(setup_of(tiny_chains_f32, steps));
    const std::vector<double> half = losses(setup_of(test::tiny_bottlenecks_f16, steps));
    const std::vector<double> half_chains = losses(setup_of(test::tiny_chains_f16, steps));
    double farthest = 0;
    double farthest_half = 0;
    for (std::size_t s = 0; s < fp32.size(); ++s) {
        EXPECT_NEAR(chains[s], fp32[s], 1e-5 * fp32[s]) << "step " << s;
        EXPECT_NEAR(half_chains[s], half[s], 0.01 * half[s]) << "step " << s;
        farthest = std::max(farthest, std::abs(chains[s] - fp32[s]) / fp32[s]);
        farthest_half = std::max(farthest_half, std::abs(half_chains[s] - half[s]) / half[s]);
    }
    EXPECT_LT(fp32.back(), fp32.front()) << "it learns";
    fmt::print(
        "hostrun: chains beside separate nodes, {} steps: losses differ by {:.1e} in fp32, {:.1e} in fp16\n",
        steps, farthest, farthest_half);
}

TEST_F(ChainTraining, CanonicalBitsDoNotDependOnTheRanks) {
    RunSetup setup = setup_of(test::tiny_chains_f16, 3);
    setup.canonical = true;
    expect_same_bits(setup, {1, 2, 4});
}

/// What is dropped and computed again is the same: statistics are counted once.
TEST_F(ChainTraining, RecomputingChangesNoBit) {
    RunSetup setup = setup_of(test::tiny_chains_f16, 3);
    setup.ranks = 2;
    setup.microbatches = 2;
    const auto kept = hashes(run(setup));
    setup.recompute = 3;
    EXPECT_EQ(hashes(run(setup)), kept);
}

/// Running statistics of nodes with several norms, too.
TEST_F(ChainTraining, TheDevicesStepsAreTheHosts) {
    RunSetup setup = setup_of(test::tiny_chains_f16, 3);
    setup.ranks = 2;
    const auto device = hashes(run(setup));
    const auto make = setup.backend;
    setup.backend = [=](int rank) {
        Backend backend = make(rank);
        backend.step_kernels = {};
        return backend;
    };
    EXPECT_EQ(hashes(run(setup)), device);
}

}  // namespace
}  // namespace trireme::hostrun
