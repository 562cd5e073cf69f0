// The generator against the known answers of its authors (Random123, kat_vectors), and what streams promise.
#include "runtime/core/philox.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include <gtest/gtest.h>

namespace trireme {
namespace {

using Words = std::array<std::uint32_t, 4>;

TEST(Philox, KnownAnswers) {
    EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
    constexpr std::uint32_t ones = 0xffffffff;
    EXPECT_EQ(philox4x32({ones, ones, ones, ones}, {ones, ones}),
              (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
    EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStream, ElementsAreTheWordsOfBlocks) {
    const RandomStream stream(3, "test", 1);
    const Words block = stream.block(5);
    EXPECT_EQ(stream.bits(10), static_cast<std::uint64_t>(block[1]) << 32 | block[0]);
    EXPECT_EQ(stream.bits(11), static_cast<std::uint64_t>(block[3]) << 32 | block[2]);
    for (std::uint64_t i = 0; i < 4; ++i) {
        EXPECT_EQ(stream.uniform(20 + i), static_cast<float>(block[i] >> 8) / 16777216.0f);
    }
    EXPECT_NE(stream.block(std::uint64_t{1} << 32), stream.block(0));
}

TEST(RandomStream, SeedPurposeAndInstanceTellStreamsApart) {
    const Words base = RandomStream(1, "a", 0).block(0);
    EXPECT_EQ(RandomStream(1, "a", 0).block(0), base);
    EXPECT_NE(RandomStream(2, "a", 0).block(0), base);
    EXPECT_NE(RandomStream(1 + (std::uint64_t{1} << 32), "a", 0).block(0), base);
    EXPECT_NE(RandomStream(1, "b", 0).block(0), base);
    EXPECT_NE(RandomStream(1, "a", 1).block(0), base);
}

TEST(RandomStream, UniformIsInTheUnitInterval) {
    const RandomStream stream(9, "uniform");
    double mean = 0;
    for (std::uint64_t i = 0; i < 20000; ++i) {
        const float u = stream.uniform(i);
        ASSERT_GE(u, 0.0f);
        ASSERT_LT(u, 1.0f);
        mean += u / 20000.0;
    }
    EXPECT_NEAR(mean, 0.5, 0.01);
}

TEST(RandomStream, BelowHitsEveryValueAboutEquallyOften) {
    const RandomStream stream(9, "below");
    std::vector<int> hits(7);
    for (std::uint64_t i = 0; i < 14000; ++i) ++hits.at(stream.below(i, 7));
    for (int h : hits) EXPECT_NEAR(h, 2000, 200);
    EXPECT_EQ(stream.below(0, 1), 0u);
}

TEST(RandomStream, ShufflePermutes) {
    std::vector<std::uint64_t> items(1000);
    std::iota(items.begin(), items.end(), std::uint64_t{0});
    const std::vector<std::uint64_t> sorted = items;
    RandomStream(1, "shuffle").shuffle(items);
    EXPECT_NE(items, sorted);
    std::vector<std::uint64_t> again = sorted;
    RandomStream(1, "shuffle").shuffle(again);
    EXPECT_EQ(items, again);
    std::sort(items.begin(), items.end());
    EXPECT_EQ(items, sorted);
    std::vector<std::uint64_t> none;
    RandomStream(1, "shuffle").shuffle(none);
    std::vector<std::uint64_t> one{4};
    RandomStream(1, "shuffle").shuffle(one);
    EXPECT_EQ(one.front(), 4u);
}

/// Each of the six orders of three items comes up about a sixth of the time.
TEST(RandomStream, ShuffleIsFair) {
    std::array<int, 27> orders{};
    for (std::uint64_t i = 0; i < 6000; ++i) {
        std::vector<std::uint64_t> items{0, 1, 2};
        RandomStream(1, "fair", i).shuffle(items);
        ++orders[items[0] * 9 + items[1] * 3 + items[2]];
    }
    const auto seen = std::count_if(orders.begin(), orders.end(), [](int n) { return n > 0; });
    EXPECT_EQ(seen, 6);
    for (int n : orders) {
        if (n > 0) {
            EXPECT_NEAR(n, 1000, 150);
        }
    }
}

}  // namespace
}  // namespace trireme
