#include "io/pipeline/sample_order.hpp"

#include <set>

#include <gtest/gtest.h>

namespace trireme::io {
namespace {

std::vector<BlockRef> blocks_of(const std::vector<std::int64_t>& shard_samples, std::int64_t block) {
    std::vector<BlockRef> blocks;
    for (std::size_t s = 0; s < shard_samples.size(); ++s) {
        for (std::int64_t row = 0; row < shard_samples[s]; row += block) {
            blocks.push_back({static_cast<int>(s), row / block, std::min(block, shard_samples[s] - row)});
        }
    }
    return blocks;
}

std::int64_t total(const std::vector<BlockRef>& blocks) {
    std::int64_t samples = 0;
    for (const BlockRef& block : blocks) samples += block.samples;
    return samples;
}

/// What rank `rank` of `ranks` sees in each step: its leaves, joined.
std::vector<std::vector<SampleRef>> steps_of(const std::vector<BlockRef>& blocks, const VirtualShards& shards,
                                             std::int64_t epoch, Shuffle shuffle, std::int64_t rank,
                                             std::int64_t ranks) {
    std::vector<std::vector<SampleRef>> steps(static_cast<std::size_t>(shards.steps_per_epoch()));
    const IndexRange owned = shards.owned_by(rank, ranks);
    for (std::int64_t step = 0; step < shards.steps_per_epoch(); ++step) {
        for (std::int64_t v = owned.begin; v < owned.end; ++v) {
            const auto leaf = samples_of(blocks, shards, 42, epoch, shuffle, v, shards.leaf(v, step));
            auto& mine = steps[static_cast<std::size_t>(step)];
            mine.insert(mine.end(), leaf.begin(), leaf.end());
        }
    }
    return steps;
}

class EveryMode : public ::testing::TestWithParam<Shuffle> {};
INSTANTIATE_TEST_SUITE_P(Modes, EveryMode, ::testing::Values(Shuffle::global, Shuffle::local, Shuffle::none));

TEST_P(EveryMode, EachSampleOnceAnEpochWhateverTheRanks) {
    const auto blocks = blocks_of({100, 101, 7, 0}, 6);
    for (const std::int64_t batch : {1, 10, 37, 208, 500}) {
        for (const std::int64_t virtual_shards : {1, 8, 13}) {
            const VirtualShards shards(total(blocks), batch, virtual_shards);
            const auto alone = steps_of(blocks, shards, 3, GetParam(), 0, 1);
            std::set<SampleRef> seen;
            std::int64_t served = 0;
            for (const auto& step : alone) {
                served += static_cast<std::int64_t>(step.size());
                seen.insert(step.begin(), step.end());
            }
            EXPECT_EQ(served, 208);
            EXPECT_EQ(seen.size(), 208u);
            for (std::int64_t ranks = 2; ranks <= 9; ++ranks) {
                std::vector<std::vector<SampleRef>> joined(alone.size());
                for (std::int64_t rank = 0; rank < ranks; ++rank) {
                    const auto mine = steps_of(blocks, shards, 3, GetParam(), rank, ranks);
                    for (std::size_t s = 0; s < mine.size(); ++s) {
                        joined[s].insert(joined[s].end(), mine[s].begin(), mine[s].end());
                    }
                }
                ASSERT_EQ(joined, alone) << ranks << " ranks, batch " << batch << ", L " << virtual_shards;
            }
        }
    }
}

TEST(SampleOrder, MoreRanksThanSamples) {
    const auto blocks = blocks_of({3}, 2);
    const VirtualShards shards(3, 8, 8);
    std::set<SampleRef> seen;
    for (std::int64_t rank = 0; rank < 8; ++rank) {
        for (const auto& step : steps_of(blocks, shards, 0, Shuffle::global, rank, 8)) {
            seen.insert(step.begin(), step.end());
        }
    }
    EXPECT_EQ(seen.size(), 3u);
}

TEST(SampleOrder, NoneIsDataSetOrder) {
    const auto blocks = blocks_of({20, 15}, 8);
    const VirtualShards shards(35, 7, 3);
    std::vector<SampleRef> expected;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
        for (std::int64_t row = 0; row < blocks[b].samples; ++row) {
            expected.push_back({static_cast<std::int64_t>(b), row});
        }
    }
    std::vector<SampleRef> found;
    for (std::int64_t v = 0; v < 3; ++v) {
        const auto run = samples_of(blocks, shards, 1, 5, Shuffle::none, v, shards.run(v));
        found.insert(found.end(), run.begin(), run.end());
    }
    EXPECT_EQ(found, expected);
}

TEST(SampleOrder, EpochsAndSeedsDiffer) {
    const auto blocks = blocks_of({400}, 8);
    const VirtualShards shards(400, 16, 2);
    const auto order = [&](std::uint64_t seed, std::int64_t epoch, Shuffle shuffle) {
        return samples_of(blocks, shards, seed, epoch, shuffle, 1, shards.run(1));
    };
    for (const Shuffle shuffle : {Shuffle::global, Shuffle::local}) {
        EXPECT_EQ(order(1, 0, shuffle), order(1, 0, shuffle));
        EXPECT_NE(order(1, 0, shuffle), order(1, 1, shuffle));
        EXPECT_NE(order(1, 0, shuffle), order(2, 0, shuffle));
    }
}

TEST(SampleOrder, LocalKeepsTheBlocksOfARun) {
    const auto blocks = blocks_of({400}, 8);
    const VirtualShards shards(400, 16, 4);
    const auto blocks_in = [&](std::int64_t epoch, Shuffle shuffle) {
        std::set<std::int64_t> seen;
        for (const SampleRef& ref : samples_of(blocks, shards, 1, epoch, shuffle, 2, shards.run(2))) {
            seen.insert(ref.block);
        }
        return seen;
    };
    EXPECT_EQ(blocks_in(0, Shuffle::local), blocks_in(7, Shuffle::local));
    EXPECT_NE(blocks_in(0, Shuffle::global), blocks_in(7, Shuffle::global));
}

TEST(SampleOrder, AnyPositionCanBeSought) {
    const auto blocks = blocks_of({100, 101, 7, 0}, 6);
    const VirtualShards shards(208, 10, 3);
    const auto run = samples_of(blocks, shards, 9, 2, Shuffle::global, 1, shards.run(1));
    for (std::int64_t begin = shards.run(1).begin; begin < shards.run(1).end; ++begin) {
        const auto rest = samples_of(blocks, shards, 9, 2, Shuffle::global, 1, {begin, shards.run(1).end});
        ASSERT_TRUE(
            std::equal(rest.begin(), rest.end(), run.begin() + (begin - shards.run(1).begin), run.end()));
    }
}

TEST(SampleOrder, WindowsHoldFewBlocks) {
    const auto blocks = blocks_of({1000}, 10);
    EpochOrder order(blocks);
    order.arrange(1, 0, Shuffle::global);
    const RunOrder run(order, {5, 995}, 1, 0, 0, Shuffle::global);
    std::int64_t position = 5;
    std::int64_t pieces = 0;
    while (position < 995) {
        const Window window = run.window_at(position);
        EXPECT_EQ(window.positions.begin, position);
        EXPECT_LE(window.pieces, window_blocks);
        position = window.positions.end;
        pieces += window.pieces;
    }
    EXPECT_EQ(position, 995);
    EXPECT_EQ(pieces, 100);
}

}  // namespace
}  // namespace trireme::io
