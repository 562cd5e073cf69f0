// Step lists played over mailboxes by one thread, in every interleaving of ranks that a seed gives.
#include "comm/collective_task.hpp"

#include <memory>

#include <gtest/gtest.h>

#include "comm/halving_doubling.hpp"
#include "comm/host_ops.hpp"
#include "comm/inproc_transport.hpp"
#include "comm/recording_transport.hpp"
#include "comm/ring.hpp"
#include "runtime/core/philox.hpp"
#include "tests/unit/comm/allocation_count.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

constexpr std::int64_t task_segment = 16;

/// All ranks of a world in one thread.
class TaskWorld {
  public:
    explicit TaskWorld(int ranks) : ranks_(ranks), record_(std::make_shared<MessageRecord>()) {
        for (auto& transport : in_process_transports(ranks)) {
            transports_.push_back(recording_transport(std::move(transport), record_));
        }
        for (int r = 0; r < ranks; ++r) {
            groups_.push_back(Group::world(ranks, r));
            staging_.push_back(std::make_unique<StagingPool>(task_segment * 4, slots_per_task));
        }
    }
    ~TaskWorld() {
        for (auto& transport : transports_) transport->close();
    }

    struct Run {
        std::vector<std::unique_ptr<CollectiveTask>> tasks;
        std::vector<std::vector<float>> data;
        std::vector<std::shared_ptr<const StepList>> lists;
        int tag = 0;
    };

    Run make(int tag, std::int64_t count, bool ring) {
        Run run;
        run.tag = tag;
        for (int r = 0; r < ranks_; ++r) {
            const auto place = static_cast<std::size_t>(r);
            run.tasks.push_back(
                std::make_unique<CollectiveTask>(*transports_[place], *staging_[place], ops_));
            run.data.emplace_back(static_cast<std::size_t>(count));
            run.lists.push_back(std::make_shared<const StepList>(
                ring ? ring_all_reduce(ranks_, r, count, task_segment)
                     : halving_doubling_all_reduce(ranks_, r, count, task_segment)));
        }
        return run;
    }

    void start(Run& run) {
        for (int r = 0; r < ranks_; ++r) {
            const auto place = static_cast<std::size_t>(r);
            for (std::size_t e = 0; e < run.data[place].size(); ++e) {
                run.data[place][e] = exact_input(r, static_cast<std::int64_t>(e));
            }
            run.tasks[place]->start(run.lists[place], groups_[place], run.tag,
                                    reinterpret_cast<std::byte*>(run.data[place].data()), DType::f32);
        }
    }

    static bool done(const Run& run) {
        return std::all_of(run.tasks.begin(), run.tasks.end(), [](const auto& t) { return t->done(); });
    }

    std::shared_ptr<MessageRecord> record() const { return record_; }
    std::size_t blocks(int rank) const { return staging_[static_cast<std::size_t>(rank)]->allocated(); }

  private:
    int ranks_;
    std::shared_ptr<MessageRecord> record_;
    std::vector<std::unique_ptr<Transport>> transports_;
    std::vector<Group> groups_;
    std::vector<std::unique_ptr<StagingPool>> staging_;
    HostOps ops_;
};

TEST(CollectiveTask, AnyInterleavingGivesTheSums) {
    for (const int ranks : {2, 3, 5, 8}) {
        for (const bool ring : {true, false}) {
            for (std::uint64_t seed = 0; seed < 20; ++seed) {
                TaskWorld world(ranks);
                TaskWorld::Run run = world.make(1, 503, ring);
                world.start(run);
                const RandomStream random(seed, "interleaving");
                for (std::uint64_t turn = 0; !TaskWorld::done(run); ++turn) {
                    ASSERT_LT(turn, 100000U) << "stuck";
                    (void)run.tasks[random.below(turn, static_cast<std::uint64_t>(ranks))]->advance();
                }
                for (const auto& data : run.data) ASSERT_EQ(data, exact_sums(ranks, 503));
            }
        }
    }
}

TEST(CollectiveTask, TasksInFlightDoNotCross) {
    TaskWorld world(3);
    TaskWorld::Run a = world.make(1, 200, true);
    TaskWorld::Run b = world.make(2, 331, false);
    TaskWorld::Run c = world.make(3, 64, true);
    // Each rank starts and advances them in another order.
    world.start(a);
    world.start(b);
    world.start(c);
    std::array<TaskWorld::Run*, 3> runs{&a, &b, &c};
    for (std::size_t turn = 0; !TaskWorld::done(a) || !TaskWorld::done(b) || !TaskWorld::done(c); ++turn) {
        ASSERT_LT(turn, 100000U) << "stuck";
        for (std::size_t r = 0; r < 3; ++r) (void)runs[(turn + r) % 3]->tasks[r]->advance();
    }
    EXPECT_EQ(a.data[1], exact_sums(3, 200));
    EXPECT_EQ(b.data[2], exact_sums(3, 331));
    EXPECT_EQ(c.data[0], exact_sums(3, 64));
    EXPECT_EQ(world.blocks(0), 3U);
}

TEST(CollectiveTask, SendsTheBytesOfItsList) {
    TaskWorld world(4);
    TaskWorld::Run run = world.make(9, 1009, true);
    world.start(run);
    while (!TaskWorld::done(run)) {
        for (auto& task : run.tasks) (void)task->advance();
    }
    std::vector<std::int64_t> sent(4, 0);
    for (const SentMessage& m : world.record()->messages()) {
        EXPECT_EQ(m.to, (m.from + 1) % 4);
        EXPECT_EQ(m.tag, 9);
        EXPECT_LE(m.bytes, task_segment * 4);
        sent[static_cast<std::size_t>(m.from)] += m.bytes;
    }
    for (std::size_t r = 0; r < 4; ++r) EXPECT_EQ(sent[r], 4 * sent_by(*run.lists[r]).value);
}

TEST(CollectiveTask, AWarmTaskAllocatesNothing) {
    const int ranks = 4;
    std::vector<std::unique_ptr<Transport>> transports = in_process_transports(ranks);
    StagingPool staging(task_segment * 4, slots_per_task);
    HostOps ops;
    std::vector<Group> groups;
    std::vector<std::unique_ptr<CollectiveTask>> tasks;
    std::vector<std::shared_ptr<const StepList>> lists;
    std::vector<std::vector<float>> data(ranks, std::vector<float>(1009, 1.0F));
    for (int r = 0; r < ranks; ++r) {
        groups.push_back(Group::world(ranks, r));
        tasks.push_back(
            std::make_unique<CollectiveTask>(*transports[static_cast<std::size_t>(r)], staging, ops));
        lists.push_back(std::make_shared<const StepList>(ring_all_reduce(ranks, r, 1009, task_segment)));
    }
    std::int64_t before = 0;
    for (int round = 0; round < 4; ++round) {
        if (round == 1) before = allocations_so_far();
        for (std::size_t r = 0; r < tasks.size(); ++r) {
            tasks[r]->start(lists[r], groups[r], 5, reinterpret_cast<std::byte*>(data[r].data()), DType::f32);
        }
        while (!std::all_of(tasks.begin(), tasks.end(), [](const auto& t) { return t->done(); })) {
            for (auto& task : tasks) (void)task->advance();
        }
    }
    EXPECT_EQ(allocations_so_far(), before);
    EXPECT_EQ(staging.allocated(), static_cast<std::size_t>(ranks));
    for (auto& transport : transports) transport->close();
}

TEST(CollectiveTask, AWriteWaitsForTheSendThatReads) {
    // Rank 0 sends a range and receives into the same one. Rank 1 answers before it can take what rank 0
    // sent: its receive window is full of messages of rank 2, which comes last.
    auto transports = in_process_transports(3);
    StagingPool staging(task_segment * 4, slots_per_task);
    HostOps ops;
    const std::vector<StepList> lists{{{Verb::send, 0, 4, -1, 1}, {Verb::recv, 0, 4, 1, -1}},
                                      {{Verb::send, 4, 4, -1, 0},
                                       {Verb::recv, 8, 1, 2, -1},
                                       {Verb::recv, 9, 1, 2, -1},
                                       {Verb::recv, 10, 1, 2, -1},
                                       {Verb::recv, 11, 1, 2, -1},
                                       {Verb::recv, 0, 4, 0, -1}},
                                      {{Verb::send, 8, 1, -1, 1},
                                       {Verb::send, 9, 1, -1, 1},
                                       {Verb::send, 10, 1, -1, 1},
                                       {Verb::send, 11, 1, -1, 1}}};
    std::vector<Group> groups;
    std::vector<std::unique_ptr<CollectiveTask>> tasks;
    std::vector<std::vector<float>> data(3, std::vector<float>(12));
    for (std::size_t r = 0; r < 3; ++r) {
        for (std::size_t e = 0; e < 12; ++e)
            data[r][e] = exact_input(static_cast<int>(r), static_cast<std::int64_t>(e));
        groups.push_back(Group::world(3, static_cast<int>(r)));
    }
    for (std::size_t r = 0; r < 3; ++r) {
        tasks.push_back(std::make_unique<CollectiveTask>(*transports[r], staging, ops));
        tasks[r]->start(std::make_shared<const StepList>(lists[r]), groups[r], 5,
                        reinterpret_cast<std::byte*>(data[r].data()), DType::f32);
    }
    for (const std::size_t r : {0U, 1U, 0U, 0U, 2U, 1U, 0U, 1U, 2U}) (void)tasks[r]->advance();
    for (const auto& task : tasks) EXPECT_TRUE(task->done());
    for (std::size_t e = 0; e < 4; ++e) {
        EXPECT_EQ(data[1][e], exact_input(0, static_cast<std::int64_t>(e)));
        EXPECT_EQ(data[0][e], exact_input(1, static_cast<std::int64_t>(e) + 4));
    }
    for (auto& transport : transports) transport->close();
}

TEST(CollectiveTask, CancelLeavesNothingBehind) {
    TaskWorld world(2);
    {
        TaskWorld::Run run = world.make(1, 300, true);
        world.start(run);
        (void)run.tasks[0]->advance();
        EXPECT_EQ(run.tasks[0]->waits_for(), std::vector<int>{1});
        // The buffers go away with the run; rank 1 must find neither messages nor receives of rank 0.
    }
    TaskWorld::Run again = world.make(1, 300, true);
    world.start(again);
    while (!TaskWorld::done(again)) {
        for (auto& task : again.tasks) (void)task->advance();
    }
    EXPECT_EQ(again.data[0], exact_sums(2, 300));
}

TEST(CollectiveTask, AnotherSizeIsTold) {
    auto transports = in_process_transports(2);
    std::vector<std::byte> small(8);
    std::vector<std::byte> large(16);
    const RequestId receive = transports[0]->post_recv(1, 5, large);
    const RequestId send = transports[1]->post_send(0, 5, small);
    EXPECT_TRUE(transports[1]->test(send));
    EXPECT_THROW((void)transports[0]->test(receive), PeerFailure);
}

}  // namespace
}  // namespace trireme::comm
