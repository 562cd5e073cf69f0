// Threads as ranks train on shards of uneven sizes with batches that nothing divides; what they sum must be
// the gradient of one fp64 pass over the same samples, and the loss curve must not depend on the rank count.
#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "tests/multirank/training_run.hpp"

namespace trireme {
namespace {

TEST_F(TrainingTest, GradientsAreThoseOfOnePassOverTheSameSamples) {
    for (int ranks : {1, 2, 3, 4})
        expect_reference_gradients({.ranks = ranks, .batch = 37, .steps = 6});  // 208 samples: 5 x 37 + 23
    expect_reference_gradients({.ranks = 5, .batch = 3, .steps = 4});           // two ranks have no sample
    expect_reference_gradients({.ranks = 2, .batch = 500, .steps = 2});         // one short step an epoch
}

TEST_F(TrainingTest, MicrobatchesGiveTheSameGradients) {
    expect_reference_gradients({.ranks = 2, .batch = 37, .microbatches = 4, .steps = 6});
}

TEST_F(TrainingTest, OneDnnGivesTheSameGradients) {
    expect_reference_gradients({.ranks = 3, .batch = 37, .steps = 6, .device = "cpu"});
}

TEST_F(TrainingTest, EverySampleOnceAnEpochOnAnyRankCount) {
    std::vector<std::vector<std::int64_t>> first;
    for (int ranks : {1, 2, 3, 5, 8}) {
        std::set<std::int64_t> seen;
        std::vector<std::vector<std::int64_t>> by_step;
        for (StepRecord& record : run({.ranks = ranks, .batch = 37, .steps = 6})) {
            std::sort(record.ids.begin(), record.ids.end());
            seen.insert(record.ids.begin(), record.ids.end());
            by_step.push_back(record.ids);
        }
        EXPECT_EQ(seen.size(), 208u) << ranks << " ranks";
        if (first.empty()) first = by_step;
        EXPECT_EQ(by_step, first) << ranks << " ranks: the steps have other samples";
    }
}

TEST_F(TrainingTest, LossCurveDoesNotDependOnTheRankCount) {
    std::vector<double> first;
    for (int ranks : {1, 2, 3, 4}) {
        for (comm::Algorithm algorithm : {comm::Algorithm::ring, comm::Algorithm::halving_doubling}) {
            std::vector<double> losses;
            for (const StepRecord& record :
                 run({.ranks = ranks, .batch = 37, .steps = 18, .lr = 0.05, .algorithm = algorithm})) {
                losses.push_back(record.loss_sum / static_cast<double>(record.samples));
            }
            if (first.empty()) first = losses;
            for (std::size_t s = 0; s < losses.size(); ++s)
                EXPECT_NEAR(losses[s], first[s], 1e-4 * first[s]) << ranks << " ranks, step " << s;
        }
    }
    EXPECT_LT(first.back(), 0.7 * first.front()) << "there is something to learn in the samples";
}

TEST_F(TrainingTest, CurvesOfBf16AndFp32RunSideBySide) {
    const auto curve = [](layers::ModelGraph (*graph)()) {
        std::vector<double> losses;
        for (const StepRecord& record : run({.ranks = 2,
                                        .batch = 37,
                                        .microbatches = 2,
                                        .steps = 40,
                                        .lr = 0.02,
                                        .device = "cpu",
                                        .graph = graph})) {
            losses.push_back(record.loss_sum / static_cast<double>(record.samples));
        }
        return losses;
    };
    const std::vector<double> precise = curve(test::tiny_residual);
    const std::vector<double> halves = curve(test::tiny_residual_bf16);
    EXPECT_NE(halves, precise);
    for (std::size_t s = 0; s < precise.size(); ++s) {
        EXPECT_NEAR(halves[s], precise[s], 0.03 * precise.front()) << "step " << s;
    }
    EXPECT_LT(halves.back(), 0.9 * halves.front());
}

TEST_F(TrainingTest, ATransformerLearnsOnAnyRankCount) {
    std::vector<double> first;
    for (int ranks : {1, 3}) {
        std::vector<double> losses;
        for (const StepRecord& record : run({.ranks = ranks,
                                        .batch = 32,
                                        .microbatches = ranks == 1 ? 2 : 1,
                                        .steps = 150,
                                        .lr = 0.3,
                                        .device = "cpu",
                                        .graph = test::tiny_gpt,
                                        .text = true})) {
            losses.push_back(record.loss_sum / static_cast<double>(record.samples));
        }
        if (first.empty()) first = losses;
        for (std::size_t s = 0; s < 20; ++s)
            EXPECT_NEAR(losses[s], first[s], 1e-3 * first[s]) << "step " << s;
        EXPECT_GT(losses.front(), 5) << "as good as all letters alike: " << std::log(256.0);
        EXPECT_LT(losses.back(), 1.8) << ranks << " ranks";
    }
}

TEST_F(TrainingTest, RunningStatisticsPoolWhateverTheGrouping) {
    // The first batch norm sees the same values however a step is cut, so the pooled mean is that of the
    // whole batch. The pooled variance is nearly so: each group's is unbiased by itself.
    const auto whole =
        run({.ranks = 1, .batch = 37, .steps = 1, .graph = test::tiny_residual}).front().running;
    ASSERT_EQ(whole.size(), 12u);
    const RunSetup cut[] = {
        {.ranks = 1, .batch = 37, .microbatches = 3, .steps = 1, .graph = test::tiny_residual},
        {.ranks = 4,
         .batch = 37,
         .microbatches = 2,
         .steps = 1,
         .device = "cpu",
         .graph = test::tiny_residual},
        {.ranks = 3, .batch = 37, .steps = 1, .canonical = true, .graph = test::tiny_residual},
    };
    for (const RunSetup& setup : cut) {
        const auto mine = run(setup).front().running;
        for (std::size_t c = 0; c < 6; ++c) {
            EXPECT_NEAR(mine[c], whole[c], 1e-6) << "running mean";
            EXPECT_NEAR(mine[6 + c], whole[6 + c], 0.01 * whole[6 + c]) << "running variance";
        }
    }
}

}  // namespace
}  // namespace trireme
