// Step lists in memory whose operations run behind the host, in every interleaving of ranks and operations
// that a seed gives: over messages that lie in that memory, and over memory that ranks read of each other.
#include "comm/lane.hpp"

#include <algorithm>
#include <memory>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/collective_task.hpp"
#include "comm/halving_doubling.hpp"
#include "comm/host_ops.hpp"
#include "comm/inproc_transport.hpp"
#include "comm/peer_messages.hpp"
#include "comm/ring.hpp"
#include "comm/tag.hpp"
#include "runtime/core/philox.hpp"
#include "tests/support/said.hpp"
#include "tests/unit/comm/late_ops.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

constexpr std::int64_t lane_segment = 16;  // elements

/// All ranks of a world in one thread, each with memory of its own: [data | staging].
class LaneWorld {
  public:
    LaneWorld(int ranks, std::int64_t count, bool peers, std::uint64_t seed) : ranks_(ranks), count_(count) {
        transports_ = in_process_transports(ranks);
        const auto staging = static_cast<std::size_t>(lane_segment * slots_per_task);
        std::vector<std::span<const std::byte>> views;
        for (int r = 0; r < ranks; ++r) {
            memory_.emplace_back(static_cast<std::size_t>(count) + staging);
            for (std::int64_t e = 0; e < count; ++e)
                memory_.back()[static_cast<std::size_t>(e)] = exact_input(r, e);
            groups_.push_back(Group::world(ranks, r));
            ops_.push_back(std::make_unique<LateOps>(seed * 100 + static_cast<std::uint64_t>(r)));
        }
        for (const auto& memory : memory_) views.push_back(std::as_bytes(std::span(memory)));
        for (int r = 0; r < ranks; ++r) {
            const auto place = static_cast<std::size_t>(r);
            const auto slots = std::span(memory_[place]).subspan(static_cast<std::size_t>(count));
            staging_.push_back(std::make_unique<StagingPool>(lane_segment * 4, slots_per_task,
                                                             std::as_writable_bytes(slots)));
            Messages* messages = transports_[place].get();
            if (peers)
                messages =
                    peers_.emplace_back(std::make_unique<PeerMessages>(*messages, *ops_[place], r, views))
                        .get();
            tasks_.push_back(std::make_unique<CollectiveTask>(*messages, *staging_[place], *ops_[place]));
        }
    }
    ~LaneWorld() {
        tasks_.clear();
        peers_.clear();
        for (auto& transport : transports_) transport->close();
    }

    void start(bool ring) {
        std::vector<StepList> lists;
        for (int r = 0; r < ranks_; ++r)
            lists.push_back(ring ? ring_all_reduce(ranks_, r, count_, lane_segment)
                                 : halving_doubling_all_reduce(ranks_, r, count_, lane_segment));
        start(lists);
    }
    void start(const std::vector<StepList>& lists) {
        for (std::size_t r = 0; r < lists.size(); ++r) {
            tasks_[r]->start(std::make_shared<const StepList>(lists[r]), groups_[r], Tag{0, 1, 1}.pack(),
                             reinterpret_cast<std::byte*>(memory_[r].data()), DType::f32);
        }
    }
    [[nodiscard]] CollectiveTask& task(std::size_t rank) { return *tasks_[rank]; }
    [[nodiscard]] LateOps& ops(std::size_t rank) { return *ops_[rank]; }
    [[nodiscard]] bool done() const {
        return std::all_of(tasks_.begin(), tasks_.end(), [](const auto& t) { return t->done(); });
    }
    [[nodiscard]] std::vector<float> data(std::size_t rank) const {
        return {memory_[rank].begin(), memory_[rank].begin() + count_};
    }

  private:
    int ranks_;
    std::int64_t count_;
    std::vector<std::unique_ptr<Transport>> transports_;
    std::vector<std::vector<float>> memory_;
    std::vector<Group> groups_;
    std::vector<std::unique_ptr<LateOps>> ops_;
    std::vector<std::unique_ptr<StagingPool>> staging_;
    std::vector<std::unique_ptr<PeerMessages>> peers_;
    std::vector<std::unique_ptr<CollectiveTask>> tasks_;
};

void expect_sums(bool peers) {
    constexpr std::int64_t count = 503;
    for (const int ranks : {2, 3, 5, 8}) {
        for (const bool ring : {true, false}) {
            for (std::uint64_t seed = 0; seed < 40; ++seed) {
                LaneWorld world(ranks, count, peers, seed);
                world.start(ring);
                const RandomStream random(seed, "interleaving");
                for (std::uint64_t turn = 0; !world.done(); ++turn) {
                    ASSERT_LT(turn, 1'000'000U) << "stuck";
                    (void)world.task(random.below(turn, static_cast<std::uint64_t>(ranks))).advance();
                }
                for (std::size_t r = 0; r < static_cast<std::size_t>(ranks); ++r)
                    ASSERT_EQ(world.data(r), exact_sums(ranks, count)) << ranks << " ranks, seed " << seed;
            }
        }
    }
}

TEST(Lane, AnyInterleavingOfLateOperationsGivesTheSumsOverMessages) { expect_sums(/*peers=*/false); }

TEST(Lane, AndOverMemoryThatPeersRead) { expect_sums(/*peers=*/true); }

TEST(Lane, ATaskThatIsGivenUpTouchesNothingAnyMore) {
    for (const bool peers : {false, true}) {
        int with_work = 0;
        for (std::uint64_t seed = 0; seed < 200; ++seed) {
            LaneWorld world(3, 503, peers, seed);
            world.start(true);
            const std::uint64_t turns = 1 + seed % 6;
            for (std::uint64_t turn = 0; turn < turns; ++turn) {
                for (std::size_t r = 0; r < 3; ++r) (void)world.task(r).advance();
            }
            if (!world.ops(1).idle()) ++with_work;
            world.task(1).cancel();
            EXPECT_TRUE(world.ops(1).idle());
            const std::vector<float> kept = world.data(1);
            for (int turn = 0; turn < 50; ++turn) {
                (void)world.task(0).advance();
                (void)world.task(2).advance();
            }
            EXPECT_EQ(world.data(1), kept);
        }
        EXPECT_GT(with_work, 0) << "no task was given up while its operations were under way";
    }
}

/// A message that lands where a sum is still to be formed would be added to.
TEST(Lane, AMessageLandsOnlyBehindTheWorkOnItsPlace) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        LaneWorld world(2, 8, /*peers=*/false, seed);
        world.start({{{Verb::recv_reduce, 0, 4, 1, -1}, {Verb::recv, 0, 4, 1, -1}},
                     {{Verb::send, 0, 4, -1, 0}, {Verb::send, 4, 4, -1, 0}}});
        for (int turn = 0; !world.done(); ++turn) {
            ASSERT_LT(turn, 1000) << "stuck";
            (void)world.task(1).advance();
            (void)world.task(0).advance();
        }
        for (std::int64_t e = 0; e < 4; ++e)
            EXPECT_EQ(world.data(0)[static_cast<std::size_t>(e)], exact_input(1, e + 4)) << "seed " << seed;
    }
}

/// Two ranks with room for 100 floats, and messages between them.
struct PeerPair {
    PeerPair() {
        for (auto& transport : transports) transport->open();
    }
    ~PeerPair() {
        for (auto& transport : transports) transport->close();
    }
    std::vector<std::unique_ptr<Transport>> transports = in_process_transports(2);
    std::vector<std::vector<float>> memory{std::vector<float>(100), std::vector<float>(100)};
    std::vector<std::span<const std::byte>> views{std::as_bytes(std::span(memory[0])),
                                                  std::as_bytes(std::span(memory[1]))};
    HostOps ops;
    PeerMessages zero{*transports[0], ops, 0, views};
    PeerMessages one{*transports[1], ops, 1, views};
};

TEST(Lane, ASendToAPeerEndsWithItsAnswer) {
    PeerPair pair;
    const int tag = Tag{0, 3, 5}.pack();
    EXPECT_NE(answer_tag(tag), tag);
    pair.memory[0][10] = 7;
    const auto message = std::as_bytes(std::span(pair.memory[0])).subspan(40, 8);
    const RequestId sent = pair.zero.post_send(1, tag, message);
    EXPECT_FALSE(pair.zero.test(sent));
    const RequestId received =
        pair.one.post_recv(0, tag, std::as_writable_bytes(std::span(pair.memory[1])).subspan(0, 8));
    EXPECT_FALSE(pair.zero.test(sent)) << "nobody has copied it yet";
    EXPECT_TRUE(pair.one.test(received));
    EXPECT_EQ(pair.memory[1][0], 7);
    EXPECT_TRUE(pair.zero.test(sent));
}

TEST(Lane, APeersMessageOfAnotherSizeIsAMismatch) {
    PeerPair pair;
    const int tag = Tag{0, 3, 5}.pack();
    const RequestId sent = pair.zero.post_send(1, tag, std::as_bytes(std::span(pair.memory[0])));
    const RequestId received =
        pair.one.post_recv(0, tag, std::as_writable_bytes(std::span(pair.memory[1])).subspan(0, 8));
    EXPECT_EQ(test::message_of<PeerFailure>([&] { return pair.one.test(received); }),
              "rank 0 sent 400 bytes where rank 1 expected 8");
    pair.one.cancel(received);
    pair.zero.cancel(sent);
}

TEST(Lane, WhatIsSentLiesInSharedMemory) {
    PeerPair pair;
    const std::vector<float> elsewhere(4);
    EXPECT_THROW((void)pair.zero.post_send(1, Tag{0, 3, 5}.pack(), std::as_bytes(std::span(elsewhere))),
                 InternalError);
}

}  // namespace
}  // namespace trireme::comm
