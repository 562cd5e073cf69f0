// Leaves and runs: every sample once, only an epoch's last step short, leaf sizes even; for many (N, B, L).
#include "runtime/core/virtual_shards.hpp"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

void expect_invariants(std::int64_t samples, std::int64_t batch, std::int64_t shards) {
    SCOPED_TRACE(testing::Message() << "N " << samples << ", B " << batch << ", L " << shards);
    const VirtualShards v(samples, batch, shards);
    std::vector<int> seen(static_cast<std::size_t>(samples));
    std::int64_t after = 0;
    for (std::int64_t s = 0; s < shards; ++s) {
        ASSERT_EQ(v.run(s).begin, after);
        after = v.run(s).end;
    }
    ASSERT_EQ(after, samples);
    for (std::int64_t step = 0; step < v.steps_per_epoch(); ++step) {
        std::int64_t total = 0;
        for (std::int64_t s = 0; s < shards; ++s) {
            const IndexRange leaf = v.leaf(s, step);
            ASSERT_GE(leaf.size(), 0);
            ASSERT_LE(leaf.size(), v.full_leaf(s));
            ASSERT_TRUE(leaf.empty() || (leaf.begin >= v.run(s).begin && leaf.end <= v.run(s).end));
            for (std::int64_t i = leaf.begin; i < leaf.end; ++i) ++seen[static_cast<std::size_t>(i)];
            total += leaf.size();
        }
        ASSERT_EQ(total, v.step_samples(step));
        if (step + 1 < v.steps_per_epoch()) {
            ASSERT_EQ(total, batch);
        } else {
            ASSERT_EQ(total, v.has_short_step() ? samples % batch : batch);
        }
    }
    ASSERT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
}

TEST(VirtualShards, EverySampleOnceAndOnlyTheLastStepShort) {
    for (std::int64_t samples : {0, 1, 2, 7, 64, 100, 101, 127, 128, 208, 499}) {
        for (std::int64_t batch : {1, 2, 3, 10, 37, 64, 100, 600}) {
            for (std::int64_t shards : {1, 2, 3, 4, 8, 13, 64, 150})
                expect_invariants(samples, batch, shards);
        }
    }
    expect_invariants(60000, 64, 8);
}

TEST(VirtualShards, LeavesOfAFullStepDifferByOneAtMost) {
    for (std::int64_t batch = 1; batch <= 70; ++batch) {
        for (std::int64_t shards = 1; shards <= 40; ++shards) {
            const VirtualShards v(1000, batch, shards);
            std::int64_t least = batch;
            std::int64_t most = 0;
            std::int64_t total = 0;
            for (std::int64_t s = 0; s < shards; ++s) {
                least = std::min(least, v.full_leaf(s));
                most = std::max(most, v.full_leaf(s));
                total += v.full_leaf(s);
            }
            ASSERT_EQ(total, batch);
            ASSERT_LE(most - least, 1);
        }
    }
}

TEST(VirtualShards, TheExampleOfTheHeader) {
    const VirtualShards v(30, 10, 4);
    EXPECT_EQ(v.full_leaf(0), 2);
    EXPECT_EQ(v.full_leaf(1), 3);
    EXPECT_EQ(v.full_leaf(2), 2);
    EXPECT_EQ(v.full_leaf(3), 3);
    EXPECT_EQ(v.run(1), (IndexRange{6, 15}));
    EXPECT_EQ(v.leaf(1, 2), (IndexRange{12, 15}));
    EXPECT_EQ(v.steps_per_epoch(), 3);
    EXPECT_FALSE(v.has_short_step());
}

TEST(VirtualShards, OwnersShareTheRunsEvenly) {
    for (std::int64_t shards : {1, 2, 3, 8, 13}) {
        for (std::int64_t ranks = 1; ranks <= 17; ++ranks) {
            const VirtualShards v(100, 10, shards);
            std::int64_t after = 0;
            for (std::int64_t r = 0; r < ranks; ++r) {
                const IndexRange owned = v.owned_by(r, ranks);
                ASSERT_EQ(owned.begin, after);
                ASSERT_LE(owned.size(), (shards + ranks - 1) / ranks);
                ASSERT_GE(owned.size(), shards / ranks);
                after = owned.end;
            }
            ASSERT_EQ(after, shards);
        }
    }
}

TEST(VirtualShards, LargeCountsDoNotOverflow) {
    const std::int64_t samples = std::int64_t{1} << 50;
    const VirtualShards v(samples, std::int64_t{1} << 30, 1 << 20);
    EXPECT_EQ(v.run((1 << 20) - 1).end, samples);
    EXPECT_EQ(v.full_leaf(0), 1 << 10);
    EXPECT_EQ(even_piece(samples, 3, 2).end, samples);
}

TEST(VirtualShards, RefusesWhatMakesNoSense) {
    EXPECT_THROW(VirtualShards(-1, 1, 1), InternalError);
    EXPECT_THROW(VirtualShards(1, 0, 1), InternalError);
    EXPECT_THROW(VirtualShards(1, 1, 0), InternalError);
}

}  // namespace
}  // namespace trireme
