// Broadcast, barrier and all-gather lists by simulation.
#include <algorithm>
#include <bit>
#include <numeric>

#include <gtest/gtest.h>

#include "comm/ring.hpp"
#include "comm/tree.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

class TreeLists : public ::testing::TestWithParam<int> {};

TEST_P(TreeLists, BroadcastReachesAllFromAnyRoot) {
    const int n = GetParam();
    for (const std::int64_t count : {0, 1, 13, 67}) {
        for (const int root : {0, n / 2, n - 1}) {
            const SimulatedWorld world =
                run_world(n, count, [&](int r) { return binomial_broadcast(n, r, root, count, 16); });
            ASSERT_TRUE(world.result.ok()) << world.result.problem;
            std::int64_t sent = 0;
            for (int r = 0; r < n; ++r) {
                ASSERT_EQ(world.data[static_cast<std::size_t>(r)], run_world(n, count, [](int) {
                                                                       return StepList{};
                                                                   }).data[static_cast<std::size_t>(root)]);
                const StepList& list = world.lists[static_cast<std::size_t>(r)];
                ASSERT_EQ(received_by(list).value, r == root ? 0 : count);
                sent += sent_by(list).value;
            }
            ASSERT_EQ(sent, (n - 1) * count);
        }
    }
}

TEST_P(TreeLists, BarrierHasLogarithmicRounds) {
    const int n = GetParam();
    const SimulatedWorld world = run_world(n, 0, [&](int r) { return dissemination_barrier(n, r); });
    ASSERT_TRUE(world.result.ok()) << world.result.problem;
    const auto rounds = static_cast<std::size_t>(std::bit_width(static_cast<unsigned>(n - 1)));
    EXPECT_EQ(world.result.messages.size(), static_cast<std::size_t>(n) * rounds);
    // Everyone hears of everyone: r knows what its teller knew a round before.
    std::vector<std::vector<bool>> heard(static_cast<std::size_t>(n),
                                         std::vector<bool>(static_cast<std::size_t>(n)));
    for (int r = 0; r < n; ++r) heard[static_cast<std::size_t>(r)][static_cast<std::size_t>(r)] = true;
    for (std::size_t round = 0; round < rounds; ++round) {
        const auto before = heard;
        for (int r = 0; r < n; ++r) {
            const Step& step = world.lists[static_cast<std::size_t>(r)][2 * round + 1];
            for (int k = 0; k < n; ++k) {
                const auto known = static_cast<std::size_t>(k);
                if (before[static_cast<std::size_t>(step.from)][known])
                    heard[static_cast<std::size_t>(r)][known] = true;
            }
        }
    }
    for (const auto& row : heard) EXPECT_EQ(std::count(row.begin(), row.end(), false), 0);
}

TEST_P(TreeLists, AllGatherOfRaggedPieces) {
    const int n = GetParam();
    std::vector<std::int64_t> pieces;
    for (int r = 0; r < n; ++r) pieces.push_back(r % 3 == 1 ? 0 : (r * 7) % 40);
    const std::int64_t count = std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0});
    const SimulatedWorld world = run_world(n, count, [&](int r) { return ring_all_gather(r, pieces, 16); });
    ASSERT_TRUE(world.result.ok()) << world.result.problem;
    std::vector<float> expected;
    for (int r = 0; r < n; ++r) {
        for (std::int64_t i = 0; i < pieces[static_cast<std::size_t>(r)]; ++i) {
            expected.push_back(exact_input(r, static_cast<std::int64_t>(expected.size())));
        }
        const auto right = static_cast<std::size_t>((r + 1) % n);
        if (n > 1) {
            EXPECT_EQ(sent_by(world.lists[static_cast<std::size_t>(r)]).value, count - pieces[right]);
        }
    }
    for (const auto& data : world.data) ASSERT_EQ(data, expected);
}

INSTANTIATE_TEST_SUITE_P(Sizes, TreeLists, ::testing::Values(1, 2, 3, 4, 5, 7, 8, 13, 16, 33, 64));

}  // namespace
}  // namespace trireme::comm
