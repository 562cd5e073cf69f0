// Where a network is cut into segments, and what is computed again for each.
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "runtime/plan/parallel_plan.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Residual blocks of linear layers, deep enough that activations outweigh all else.
layers::ModelGraph tower(int blocks) {
    using namespace layers;
    ModelGraph graph("tower", Shape{32}, Shape{}, DType::i32);
    TensorId x = linear_bias(graph, "in", Linear{.out_features = 32}, graph.input());
    for (int b = 0; b < blocks; ++b) {
        TensorId y = graph.add(fmt::format("ln{}", b), LayerNorm{}, {x});
        y = linear_bias(graph, fmt::format("up{}", b), Linear{.out_features = 64}, y);
        y = graph.add(fmt::format("gelu{}", b), Gelu{}, {y});
        y = linear_bias(graph, fmt::format("down{}", b), Linear{.out_features = 32}, y);
        x = graph.add(fmt::format("add{}", b), Add{}, {x, y});
    }
    x = linear_bias(graph, "head", Linear{.out_features = 5}, x);
    graph.add("loss", SoftmaxCrossEntropy{}, {x, graph.target()});
    return fuse(graph).graph;
}

class Recomputing : public ::testing::Test {
  protected:
    [[nodiscard]] ParallelPlan plan(std::int64_t segments, std::int64_t microbatches = 1) const {
        return ParallelPlan(selection_,
                            {.data = 1, .batch = 512, .microbatches = microbatches, .recompute = segments}, 1,
                            std::nullopt);
    }
    [[nodiscard]] Bytes arena(std::int64_t segments) const {
        return plan_memory(plan(segments).program(0, StepKind::full), selection_).size;
    }

    layers::ModelGraph graph_ = tower(12);
    Backend backend_ = make_backend("cpu", 1);
    Selection selection_{graph_, backend_.providers, SelectionOptions{}};
};

TEST_F(Recomputing, SegmentsEndWhereOneTensorGoesOn) {
    const Segments segments(selection_, 4);
    EXPECT_EQ(segments.count(), 4);
    for (std::size_t n = 1; n < graph_.nodes().size(); ++n) {
        const auto id = static_cast<layers::NodeId>(n);
        ASSERT_GE(segments.of(id), segments.of(id - 1));
        if (segments.of(id) == segments.of(id - 1)) continue;
        EXPECT_THAT(graph_.node(id - 1).name, ::testing::StartsWith("add")) << "a block is not cut inside";
    }
    EXPECT_FALSE(segments.dropped(static_cast<layers::NodeId>(graph_.nodes().size()) - 1));
}

TEST_F(Recomputing, EachDroppedNodeRunsAgainOnceBeforeItsBackward) {
    const ParallelPlan cut = plan(4, 2);
    const Program program = cut.program(0, StepKind::full);
    std::set<std::pair<layers::NodeId, int>> again;
    std::set<std::pair<layers::NodeId, int>> done;
    for (const Instruction& instruction : program.instructions) {
        if (const auto* a = std::get_if<Recompute>(&instruction.action)) {
            EXPECT_TRUE(cut.segments().dropped(a->node));
            EXPECT_TRUE(again.emplace(a->node, a->microbatch.value).second) << graph_.node(a->node).name;
            EXPECT_FALSE(done.contains({a->node, a->microbatch.value})) << "too late";
        } else if (const auto* b = std::get_if<BackwardInput>(&instruction.action)) {
            done.emplace(b->node, b->microbatch.value);
        }
    }
    EXPECT_FALSE(again.empty());
    // The last node of a segment is kept by its reader: an addition has no state and need not run again.
    const auto text = program.str(graph_);
    EXPECT_THAT(text, HasSubstr("recompute gelu0 mb1"));
    EXPECT_THAT(text, Not(HasSubstr("recompute gelu11")));
}

TEST_F(Recomputing, TakesLessMemory) {
    const Bytes kept = arena(1);
    const Bytes four = arena(4);
    const Bytes automatic = arena(0);
    EXPECT_LT(static_cast<double>(four.value), 0.5 * static_cast<double>(kept.value));
    EXPECT_LE(automatic, four);
    EXPECT_GT(plan(0).segments().count(), 1);
    EXPECT_THAT(plan(4).str(), HasSubstr("recompute: 4 segments, ending with add"));
    EXPECT_THAT(plan(1).str(), Not(HasSubstr("recompute")));
}

TEST_F(Recomputing, MoreSegmentsThanPlacesAreRefused) {
    try {
        (void)plan(100);
        FAIL() << "accepted";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("parallel.recompute = 100: the network can be cut into 15 segments"));
    }
}

}  // namespace
}  // namespace trireme
