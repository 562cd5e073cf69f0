// The simulator must find what is broken; otherwise its proofs are worth nothing.
#include "comm/simulate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/halving_doubling.hpp"
#include "comm/ring.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

SimulationResult run(std::vector<StepList> lists, std::int64_t count = 8) {
    return run_world(static_cast<int>(lists.size()), count,
                     [&](int r) { return lists[static_cast<std::size_t>(r)]; })
        .result;
}

TEST(Simulate, FindsADeadlock) {
    // Both wait before they send.
    const StepList a{{Verb::recv, 0, 4, 1, -1}, {Verb::send, 0, 4, -1, 1}};
    const StepList b{{Verb::recv, 0, 4, 0, -1}, {Verb::send, 0, 4, -1, 0}};
    const SimulationResult result = run({a, b});
    EXPECT_THAT(result.problem, StartsWith("deadlock"));
    EXPECT_THAT(result.problem, HasSubstr("rank 0 waits at step 0: recv [0, 4) from 1"));
    EXPECT_THAT(result.problem, HasSubstr("rank 1 waits at step 0: recv [0, 4) from 0"));
}

TEST(Simulate, FindsARingWithoutItsFirstSend) {
    std::vector<StepList> lists;
    for (int r = 0; r < 4; ++r) {
        lists.push_back(ring_all_reduce(4, r, 8, 64));
        lists.back().erase(lists.back().begin());
    }
    EXPECT_THAT(run(lists).problem, StartsWith("deadlock"));
}

TEST(Simulate, FindsSizesThatDiffer) {
    const StepList a{{Verb::send, 0, 4, -1, 1}};
    const StepList b{{Verb::recv, 0, 3, 0, -1}};
    EXPECT_EQ(run({a, b}).problem,
              "sizes differ: rank 0 step 0: send [0, 4) to 1; rank 1 step 0: recv [0, 3) from 0");
}

TEST(Simulate, FindsAMessageNobodyReceives) {
    const StepList a{{Verb::send, 0, 4, -1, 1}};
    EXPECT_EQ(run({a, {}}).problem, "rank 0 step 0: send [0, 4) to 1: nobody receives it");
}

TEST(Simulate, FindsPeersAndRangesOutside) {
    EXPECT_THAT(run({{{Verb::send, 0, 4, -1, 2}}, {}}).problem, HasSubstr("peer that does not exist"));
    EXPECT_THAT(run({{{Verb::send, 6, 4, -1, 1}}, {}}).problem, HasSubstr("leaves the buffer"));
}

TEST(Simulate, FindsTheWrongOrderOfEqualSizes) {
    // Rank 1 takes the second half for the first: sizes fit, sums do not.
    const StepList a{{Verb::send, 0, 4, -1, 1}, {Verb::send, 4, 4, -1, 1}};
    const StepList b{{Verb::recv_reduce, 4, 4, 0, -1}, {Verb::recv_reduce, 0, 4, 0, -1}};
    const std::vector<StepList> lists{a, b};
    const SimulatedWorld world = run_world(2, 8, [&](int r) { return lists[static_cast<std::size_t>(r)]; });
    EXPECT_TRUE(world.result.ok());
    EXPECT_NE(world.data[1], exact_sums(2, 8));
}

TEST(Simulate, AWriteWaitsForTheSendThatReads) {
    // Rank 0 overwrites what it sends; with rendezvous semantics rank 1 must still get the old values.
    const StepList a{{Verb::send, 0, 4, -1, 1}, {Verb::recv, 0, 4, 1, -1}};
    const StepList b{{Verb::send, 4, 4, -1, 0}, {Verb::recv, 0, 4, 0, -1}};
    const std::vector<StepList> lists{a, b};
    const SimulatedWorld world = run_world(2, 8, [&](int r) { return lists[static_cast<std::size_t>(r)]; });
    ASSERT_TRUE(world.result.ok()) << world.result.problem;
    for (std::size_t e = 0; e < 4; ++e) {
        EXPECT_EQ(world.data[1][e], exact_input(0, static_cast<std::int64_t>(e)));
        EXPECT_EQ(world.data[0][e], exact_input(1, static_cast<std::int64_t>(e) + 4));
    }
}

TEST(Simulate, FindsAWrongChunkInTheRing) {
    std::vector<StepList> lists;
    for (int r = 0; r < 4; ++r) lists.push_back(ring_all_reduce(4, r, 8, 64));
    lists[2][1].offset = (lists[2][1].offset + 2) % 8;
    const SimulatedWorld world = run_world(4, 8, [&](int r) { return lists[static_cast<std::size_t>(r)]; });
    EXPECT_TRUE(!world.result.ok() || world.data[0] != exact_sums(4, 8));
}

}  // namespace
}  // namespace trireme::comm
