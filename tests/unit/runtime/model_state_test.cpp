#include "runtime/exec/model_state.hpp"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "layers/build.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme {
namespace {

/// 4x4x2 images, a convolution with batch norm (3 channels, 16 positions), a head.
layers::ModelGraph graph_with_norm() {
    using namespace layers;
    ModelGraph graph("normed", Shape{4, 4, 2}, Shape{}, DType::i32);
    Conv2d conv;
    conv.out_channels = 3;
    conv.kernel = {1, 1};
    TensorId x = graph.add("conv", conv, {graph.input()});
    x = graph.add("bn", BatchNorm{.momentum = 0.5}, {x});
    x = graph.add("flatten", Flatten{}, {x});
    Linear head;
    head.out_features = 2;
    x = linear_bias(graph, "fc", head, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return graph;
}

class ModelStateTest : public testing::Test {
  protected:
    ModelState make(const OptimizerSpec& spec) {
        ModelState state(graph_, buckets_, spec, *backend_.device);
        state.initialise(5);
        return state;
    }
    void step(ModelState& state, int update) {
        std::vector<float> gradients(static_cast<std::size_t>(buckets_.arena_elements().value));
        for (std::size_t i = 0; i < gradients.size(); ++i)
            gradients[i] = static_cast<float>((i * 7 + static_cast<std::size_t>(update)) % 11) - 5;
        state.apply({0.01, 0.1, update}, gradients);
    }
    static std::vector<float> copy(std::span<const float> values) { return {values.begin(), values.end()}; }

    layers::ModelGraph graph_ = graph_with_norm();
    GradBuckets buckets_{graph_, Bytes(64)};
    Backend backend_ = make_backend("reference", 1);
};

TEST_F(ModelStateTest, NamesEverythingInAStableOrder) {
    const ModelState state = make({.name = "adamw", .ema = 0.9});
    std::vector<std::string> names;
    for (const NamedTensor& tensor : state.tensors()) names.push_back(tensor.name);
    const std::vector<std::string> parameters{"bn.bias", "bn.weight", "conv.weight", "fc.bias", "fc.weight"};
    std::vector<std::string> expected;
    for (const std::string& p : parameters) expected.push_back("params/" + p);
    expected.insert(expected.end(), {"buffers/bn.running_mean", "buffers/bn.running_var"});
    for (const char* kind : {"exp_avg", "exp_avg_sq", "ema"}) {
        for (const std::string& p : parameters)
            expected.push_back("optimizer/" + std::string(kind) + "/" + p);
    }
    EXPECT_EQ(names, expected);
}

TEST_F(ModelStateTest, StartsBuffersAsTheGraphSays) {
    const ModelState state = make({});
    EXPECT_EQ(copy(state.buffer(0)), (std::vector<float>{0, 0, 0}));
    EXPECT_EQ(copy(state.buffer(1)), (std::vector<float>{1, 1, 1}));
    EXPECT_GT(state.buffer_bytes().value, 0);
}

TEST_F(ModelStateTest, UpdatesBuffersFromAStepsSums) {
    ModelState state = make({});
    // 2 samples of 16 positions: N = 32. Channel c: mean c, variance c + 1, one leaf.
    const std::vector<std::int64_t> offsets{-1, 4, -1, -1, -1, -1};
    std::vector<float> statistics(4 + 9);
    for (std::size_t c = 0; c < 3; ++c) {
        const auto mean = static_cast<float>(c);
        statistics[4 + c] = 32 * mean;
        statistics[7 + c] = 32 * (mean + 1);
        statistics[10 + c] = 32 * mean * mean;
    }
    ASSERT_EQ(graph_.nodes().size(), offsets.size());
    const std::string before = state.state_sha256("");
    const std::string parameters = state.params_sha256();
    state.update_buffers(statistics, state.running_norms(offsets), 2);
    EXPECT_EQ(copy(state.buffer(0)), (std::vector<float>{0, 0.5F, 1}));
    EXPECT_EQ(copy(state.buffer(1)), (std::vector<float>{1, 1.5F, 2}));
    EXPECT_NE(state.state_sha256(""), before);
    EXPECT_EQ(state.params_sha256(), parameters);
}

/// A chain has a norm for each link, each with its own positions and its place in the node's statistics.
TEST(RunningNorms, OfANodeWithSeveral) {
    const layers::ModelGraph graph = test::tiny_chains_f16();
    const GradBuckets buckets(graph, Bytes(2048));
    const Backend backend = make_backend("reference", 1);
    const ModelState state(graph, buckets, OptimizerSpec{}, *backend.device);
    std::vector<std::int64_t> offsets;
    for (std::size_t n = 0; n < graph.nodes().size(); ++n)
        offsets.push_back(buckets.statistics(static_cast<layers::NodeId>(n)).offset);
    const std::vector<RunningNorm> norms = state.running_norms(offsets);
    ASSERT_EQ(norms.size(), 8U) << "the stem's, three of each branch, the other side's";
    EXPECT_EQ(norms[1].statistics + 3 * 16, norms[2].statistics);
    EXPECT_EQ(norms[2].statistics + 3 * 16, norms[3].statistics);
    std::set<std::int64_t> places;
    for (const RunningNorm& norm : norms) {
        EXPECT_TRUE(places.insert(norm.mean).second && places.insert(norm.variance).second);
        EXPECT_LE(norm.statistics + 3 * norm.channels, buckets.arena_elements().value);
    }
    EXPECT_EQ(norms[4].positions, 64) << "in front of the stride";
    EXPECT_EQ(norms[5].positions, 16);
    EXPECT_EQ(norms[3].channels, 8);
}

TEST_F(ModelStateTest, ShowsTheAverageForAWhile) {
    ModelState state = make({.name = "sgd", .ema = 0.5});
    EXPECT_EQ(copy(state.state(0, 0)), copy(state.param(0)));  // before any update
    step(state, 1);
    step(state, 2);
    const std::vector<float> parameters = copy(state.param(0));
    const std::vector<float> average = copy(state.state(0, 0));
    ASSERT_NE(parameters, average);
    const std::string hash = state.state_sha256("");
    const float* memory = state.param(0).data();
    {
        const auto scope = state.with_ema();
        EXPECT_EQ(copy(state.param(0)), average);
        EXPECT_EQ(state.param(0).data(), memory);  // kernels are bound to it
        EXPECT_THROW((void)state.tensors(), InternalError);
        EXPECT_THROW(step(state, 3), InternalError);
        EXPECT_THROW((void)state.with_ema(), InternalError);
    }
    EXPECT_EQ(copy(state.param(0)), parameters);
    EXPECT_EQ(state.state_sha256(""), hash);
}

TEST_F(ModelStateTest, WithoutAnAverageTheScopeDoesNothing) {
    ModelState state = make({});
    const std::vector<float> parameters = copy(state.param(0));
    const auto scope = state.with_ema();
    EXPECT_EQ(copy(state.param(0)), parameters);
}

TEST_F(ModelStateTest, RestartsTheAverageFromParametersThatCameFromElsewhere) {
    ModelState state = make({.name = "sgd", .ema = 0.5});
    state.param(0)[0] = 42;
    state.restart_average();
    EXPECT_EQ(state.state(0, 0)[0], 42);
}

TEST_F(ModelStateTest, AppliesTheSettingsOfGroups) {
    OptimizerSpec spec{.name = "sgd", .lr = 0.01};
    spec.groups = {{"still", "fc.*", 0.0, std::nullopt}};
    ModelState state = make(spec);
    std::vector<std::vector<float>> before;
    for (layers::ParamId p : state.by_name()) before.push_back(copy(state.param(p)));
    step(state, 1);
    for (std::size_t i = 0; i < before.size(); ++i) {
        const layers::ParamId p = state.by_name()[i];
        const bool still = graph_.param(p).name.starts_with("fc.");
        EXPECT_EQ(before[i] == copy(state.param(p)), still) << graph_.param(p).name;
    }
    spec.groups[0].match = "nothing";
    EXPECT_THROW(make(spec), ConfigError);
}

}  // namespace
}  // namespace trireme
