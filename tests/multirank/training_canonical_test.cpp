// Canonical mode on threads as ranks: the state after every step has the same bits on any number of ranks.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/multirank/training_run.hpp"

namespace trireme {
namespace {

// Batch 37 of 208 samples: every sixth step is short.

TEST_F(TrainingTest, CanonicalGradientsAreThoseOfOnePassToo) {
    expect_reference_gradients({.ranks = 3, .batch = 37, .steps = 6, .canonical = true});
}

TEST_F(TrainingTest, CanonicalBitsDoNotDependOnTheRankCount) {
    for (const char* device : {"reference", "cpu"}) {
        for (std::int64_t leaves : {8, 13}) {
            RunSetup setup{.batch = 37, .steps = 14, .lr = 0.05, .device = device, .canonical = true};
            setup.virtual_shards = leaves;
            expect_same_bits(setup, {1, 2, 3, 4, 5, 8});
        }
    }
}

TEST_F(TrainingTest, CanonicalBitsWithBatchNormResidualAndDropout) {
    for (const char* device : {"reference", "cpu"}) {
        RunSetup setup{.batch = 37, .steps = 8, .lr = 0.05, .device = device, .canonical = true};
        setup.graph = test::tiny_residual;
        expect_same_bits(setup, {1, 2, 3, 4, 5, 8});
    }
}

TEST_F(TrainingTest, CanonicalBitsWithResidualsOfConvolutions) {
    RunSetup setup{.batch = 37, .steps = 6, .lr = 0.05, .device = "cpu", .canonical = true};
    setup.graph = test::tiny_conv_residual_fused;
    expect_same_bits(setup, {1, 3, 4});
}

TEST_F(TrainingTest, CanonicalBitsInBf16) {
    RunSetup setup{.batch = 37, .steps = 6, .lr = 0.05, .device = "cpu", .canonical = true};
    setup.graph = test::tiny_residual_bf16;
    expect_same_bits(setup, {1, 3, 4});
}

TEST_F(TrainingTest, CanonicalBitsOfATransformer) {
    // Two uses of one table, sums over windows, dropout: leaf by leaf the same on any number of ranks.
    for (const char* device : {"reference", "cpu"}) {
        RunSetup setup{.batch = 19, .steps = 4, .lr = 0.1, .device = device, .canonical = true};
        setup.graph = test::tiny_gpt;
        setup.text = true;
        expect_same_bits(setup, {1, 2, 3});
    }
}

TEST_F(TrainingTest, CanonicalWithMoreLeavesThanSamples) {
    // Batch 5 in 8 leaves: three leaves of every step are empty, and some ranks have no sample at all.
    const auto one = hashes(run({.ranks = 1, .batch = 5, .steps = 9, .lr = 0.05, .canonical = true}));
    for (int ranks : {2, 5, 8}) {
        EXPECT_EQ(hashes(run({.ranks = ranks, .batch = 5, .steps = 9, .lr = 0.05, .canonical = true})), one)
            << ranks << " ranks";
    }
}

TEST_F(TrainingTest, WhatOneRankWantsReachesAll) {
    // With batch 3 some of 5 ranks have no sample, and in canonical mode no part in the tree.
    for (const std::int64_t batch : {3, 37}) {
        for (const bool canonical : {false, true}) {
            for (int wisher = 0; wisher < 5; ++wisher) {
                SCOPED_TRACE(testing::Message()
                             << "batch " << batch << ", canonical " << canonical << ", rank " << wisher);
                const auto steps =
                    run({.ranks = 5, .batch = batch, .steps = 4, .canonical = canonical, .wisher = wisher});
                std::vector<int> saves;
                std::vector<int> stops;
                for (const StepRecord& step : steps) {
                    saves.push_back(step.told_to_save);
                    stops.push_back(step.told_to_stop);
                }
                EXPECT_EQ(saves, (std::vector<int>{0, 5, 0, 0}));
                EXPECT_EQ(stops, (std::vector<int>{0, 0, 5, 0}));
            }
        }
    }
}

TEST_F(TrainingTest, TheTreeIsPartOfTheResult) {
    // Other leaves, other bits: what says that the comparisons above can fail.
    const auto eight = hashes(
        run({.ranks = 1, .batch = 37, .steps = 3, .lr = 0.05, .canonical = true, .virtual_shards = 8}));
    const auto seven = hashes(
        run({.ranks = 1, .batch = 37, .steps = 3, .lr = 0.05, .canonical = true, .virtual_shards = 7}));
    EXPECT_NE(eight, seven);
}

}  // namespace
}  // namespace trireme
