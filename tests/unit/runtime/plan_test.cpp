#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/canonical.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/core/error.hpp"
#include "runtime/plan/parallel_plan.hpp"
#include "tests/support/said.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme {
namespace {

using ::testing::HasSubstr;

class PlanTest : public testing::Test {
  protected:
    ParallelPlan plan(const ParallelSpec& spec, std::optional<std::int64_t> samples = std::nullopt) {
        return ParallelPlan(selection_, spec, spec.data, samples);
    }
    layers::ModelGraph graph_ = test::tiny_convnet_fused();
    Backend backend_ = make_backend("reference", 1);
    Selection selection_{graph_, backend_.providers, SelectionOptions{}};
};

TEST_F(PlanTest, BucketsHoldEveryParameterOnceInReverseOrder) {
    const GradBuckets buckets(graph_, Bytes(1024));
    ASSERT_GT(buckets.buckets().size(), 1u);
    std::vector<layers::ParamId> seen;
    std::int64_t at = 0;
    for (const GradBucket& bucket : buckets.buckets()) {
        EXPECT_EQ(bucket.range.begin, at);
        EXPECT_FALSE(bucket.params.empty());
        at = bucket.range.end;
        for (layers::ParamId p : bucket.params) {
            const ParamPlace& place = buckets.place(p);
            EXPECT_EQ(place.offset % 16, 0);
            EXPECT_GE(place.offset, bucket.range.begin);
            EXPECT_LE(place.offset + place.elements, bucket.range.end);
            seen.push_back(p);
        }
    }
    EXPECT_EQ(at, buckets.arena_elements().value);
    EXPECT_EQ(graph_.param(seen.front()).name, "fc2.bias");
    EXPECT_EQ(graph_.param(seen.back()).name, "conv1.weight");
    std::sort(seen.begin(), seen.end());
    EXPECT_EQ(seen.size(), graph_.params().size());
    EXPECT_EQ(std::adjacent_find(seen.begin(), seen.end()), seen.end());
    EXPECT_GE(buckets.status_offset(), buckets.buckets().back().range.begin);
    EXPECT_LE(buckets.status_offset() + static_cast<std::int64_t>(StatusWord::count),
              buckets.buckets().back().range.end);
}

TEST_F(PlanTest, SumsStartAsSoonAsTheirGradientsAreThere) {
    ParallelSpec spec;
    spec.data = 2;
    spec.batch = 16;
    spec.bucket_bytes = Bytes(1024);
    const Program program = plan(spec).program(0, StepKind::full);
    const std::string text = program.str(graph_);
    const auto at = [&](const char* what) { return text.find(what); };
    EXPECT_LT(at("backward-weight fc1"), at("reduce-bucket 0"));
    EXPECT_LT(at("reduce-bucket 0"), at("backward-weight conv1")) << text;
    EXPECT_EQ(text.find("backward-input conv1"), std::string::npos)
        << "nobody needs the gradient of the samples";
}

TEST_F(PlanTest, RankSamplesCoverTheBatchOnAnyRankCount) {
    for (int ranks = 1; ranks <= 11; ++ranks) {
        ParallelSpec spec;
        spec.data = ranks;
        spec.batch = 37;
        const ParallelPlan made = plan(spec, 208);
        std::int64_t full = 0;
        std::int64_t last = 0;
        for (int rank = 0; rank < ranks; ++rank) {
            full += made.rank_samples(rank, StepKind::full);
            last += made.rank_samples(rank, StepKind::short_last);
        }
        EXPECT_EQ(full, 37);
        EXPECT_EQ(last, 208 % 37);
        verify(made);
    }
}

TEST_F(PlanTest, ARankWithoutSamplesStillSums) {
    ParallelSpec spec;
    spec.data = 5;
    spec.batch = 3;
    const ParallelPlan made = plan(spec);
    int without = 0;
    for (int rank = 0; rank < 5; ++rank) {
        const Program program = made.program(rank, StepKind::full);
        if (program.samples() > 0) continue;
        ++without;
        EXPECT_THAT(program.str(graph_), HasSubstr("clear-gradients"));
        EXPECT_THAT(program.str(graph_), HasSubstr("reduce-bucket 0"));
    }
    EXPECT_EQ(without, 2);
    verify(made);
}

TEST_F(PlanTest, MicrobatchesAccumulate) {
    ParallelSpec spec;
    spec.batch = 10;
    spec.microbatches = 3;
    const ParallelPlan made = plan(spec);
    EXPECT_EQ(made.microbatches(0, StepKind::full), (std::vector<std::int64_t>{3, 3, 4}));
    const std::string text = made.program(0, StepKind::full).str(graph_);
    EXPECT_THAT(text, HasSubstr("add-weight-gradient conv1 mb2"));
    EXPECT_EQ(text.find("add-weight-gradient conv1 mb0"), std::string::npos);
    verify(made);
}

/// What rewrites are told before there is a plan: no launch of the plan is larger, and it is near.
TEST_F(PlanTest, NoLaunchIsLargerThanForetold) {
    for (const bool canonical : {false, true}) {
        for (const int data : {1, 2, 3, 5, 8}) {
            for (const std::int64_t batch : {1, 7, 64, 100, 256}) {
                ParallelSpec spec{.data = data, .batch = batch, .microbatches = canonical ? 1 : 3};
                spec.canonical = canonical;
                const std::int64_t foretold = largest_launch(spec);
                const ParallelPlan made = plan(spec);
                std::int64_t largest = 0;
                for (int rank = 0; rank < data; ++rank) {
                    for (const std::int64_t size : made.microbatches(rank, StepKind::full))
                        largest = std::max(largest, size);
                }
                EXPECT_GE(foretold, largest) << batch << " samples on " << data << " ranks";
                EXPECT_LE(foretold, largest + made.shards().shards());
            }
        }
    }
    EXPECT_GE(largest_launch({.data = 0, .batch = 8, .microbatches = 0}), 8) << "specs are checked later";
}

TEST_F(PlanTest, ConfigErrorsSayWhatToDo) {
    ParallelSpec spec;
    spec.data = 3;
    EXPECT_THAT(test::message_of<Error>([&] { ParallelPlan(selection_, spec, 4, std::nullopt); }),
                HasSubstr("start mpirun with -n 3"));
    spec.virtual_shards = 2;
    EXPECT_THAT(test::message_of<Error>([&] { (void)plan(spec); }), HasSubstr("raise it to 3"));
}

TEST_F(PlanTest, CanonicalModeComputesEachLeafOnceAndMovesNoMoreThanARing) {
    for (int ranks : {1, 2, 3, 4, 5, 8}) {
        ParallelSpec spec;
        spec.data = ranks;
        spec.batch = 32;
        spec.canonical = true;
        const ParallelPlan made = plan(spec);
        verify(made);
        std::int64_t leaves = 0;
        Elements sent{};
        std::int64_t nodes = 0;
        for (int rank = 0; rank < ranks; ++rank) {
            for (const Instruction& instruction : made.program(rank, StepKind::full).instructions) {
                leaves += std::holds_alternative<RecordLoss>(instruction.action) ? 1 : 0;
            }
            const LeafMask all(8, true);
            nodes += static_cast<std::int64_t>(held_nodes(all, made.owned(rank)).size());
            for (const comm::CanonicalLayout& layout : made.canonical_layouts(rank, StepKind::full))
                sent += comm::sent_by(comm::canonical_all_reduce(layout, rank, 1 << 20));
        }
        EXPECT_EQ(leaves, 8) << ranks << " ranks: every leaf is computed once";
        // Each rank sends its nodes' pieces to the others, and its piece of the result to all: (nodes +
        // ranks) N (n - 1) / n.
        const std::int64_t arena = made.buckets().arena_elements().value;
        const double formula = static_cast<double>((nodes + ranks) * arena * (ranks - 1)) / ranks;
        EXPECT_NEAR(static_cast<double>(sent.value), formula, 0.01 * formula + 64 * ranks)
            << ranks << " ranks";
    }
}

TEST_F(PlanTest, CanonicalModeRefusesWhatWouldBreakIt) {
    ParallelSpec spec;
    spec.canonical = true;
    spec.data = 9;
    EXPECT_THAT(test::message_of<Error>([&] { (void)plan(spec); }), HasSubstr("parallel.virtual_shards = 8"));
    spec.data = 2;
    spec.microbatches = 2;
    EXPECT_THAT(test::message_of<Error>([&] { (void)plan(spec); }), HasSubstr("leaf by leaf already"));
    spec.microbatches = 1;
    spec.algorithm = comm::Algorithm::ring;
    EXPECT_THAT(test::message_of<Error>([&] { (void)plan(spec); }), HasSubstr("fixed tree"));
    spec.algorithm = comm::Algorithm::automatic;
    spec.path = SumPath::nccl;
    EXPECT_THAT(test::message_of<Error>([&] { (void)plan(spec); }), HasSubstr("name staged, ipc or mpi"));
}

class VerifyTest : public PlanTest {
  protected:
    VerifyTest() {
        ParallelSpec spec;
        spec.data = 3;
        spec.batch = 12;
        spec.bucket_bytes = Bytes(1024);
        plan_.emplace(plan(spec));
        for (int rank = 0; rank < 3; ++rank) programs_.push_back(plan_->program(rank, StepKind::full));
    }
    std::size_t find(const char* what, int rank = 1) {
        const auto& list = programs_[static_cast<std::size_t>(rank)].instructions;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (str(list[i].action, graph_).starts_with(what)) return i;
        }
        ADD_FAILURE() << what << " not found";
        return 0;
    }
    std::string verdict() {
        return test::message_of<Error>([&] { verify_programs(programs_, *plan_); });
    }
    std::vector<Instruction>& list() { return programs_[1].instructions; }

    std::optional<ParallelPlan> plan_;
    std::vector<Program> programs_;
};

TEST_F(VerifyTest, GoodProgramsPass) { EXPECT_EQ(verdict(), test::nothing_thrown); }

TEST_F(VerifyTest, NamesCollectivesInAnotherOrder) {
    std::swap(list()[find("reduce-bucket 0")].action, list()[find("reduce-bucket 1")].action);
    EXPECT_THAT(verdict(), HasSubstr("rank 1"));
}

TEST_F(VerifyTest, NamesAMissingSum) {
    list().erase(list().begin() + static_cast<std::ptrdiff_t>(find("reduce-bucket 1")));
    EXPECT_THAT(verdict(), HasSubstr("sum 1"));
}

TEST_F(VerifyTest, NamesASumBeforeItsLastGradient) {
    const auto sum = static_cast<std::ptrdiff_t>(find("reduce-bucket 1"));
    const auto weight = static_cast<std::ptrdiff_t>(find("backward-weight conv1"));
    list()[static_cast<std::size_t>(sum)].waits.clear();
    std::rotate(list().begin() + weight, list().begin() + sum, list().begin() + sum + 1);
    EXPECT_THAT(verdict(), HasSubstr("has sent already"));
}

TEST_F(VerifyTest, NamesAnUpdateThatDoesNotWait) {
    list().back().waits.pop_back();
    EXPECT_THAT(verdict(), HasSubstr("does not wait for the sum of bucket"));
}

TEST_F(VerifyTest, NamesASumMadeTwice) {
    list().insert(list().end() - 1, list()[find("reduce-bucket 0")]);
    EXPECT_THAT(verdict(), HasSubstr("summed twice"));
}

}  // namespace
}  // namespace trireme
