// What happens when ranks fail: who is named, who speaks, and that everyone hears of it.
#include <algorithm>
#include <atomic>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "comm/faulty_transport.hpp"
#include "comm/inproc_transport.hpp"
#include "comm/ring.hpp"
#include "tests/multirank/ranks.hpp"

namespace trireme::comm {
namespace {

using ::testing::HasSubstr;

/// What main does with a rank: an own error is announced, then the world is aborted.
void as_main(Communicator& comm, std::atomic<int>& spoken, const std::function<void()>& body) {
    try {
        body();
        comm.finish(late());
    } catch (const JobFailed& failed) {
        spoken += failed.speaker() ? 1 : 0;
        comm.abort(failed.exit_code(), failed.speaker());
        throw;
    } catch (const Error& error) {
        Verdict verdict;
        verdict.error_class = error.error_class();
        verdict.kind = "ERROR";
        verdict.rank = comm.rank();
        verdict.host = comm.host();
        verdict.reason = error.what();
        const bool speaker = comm.announce_failure(verdict);
        spoken += speaker ? 1 : 0;
        comm.abort(error.exit_code(), speaker);
        throw;
    }
}

void sum(Communicator& comm, std::size_t count, const Deadline& deadline,
         Algorithm algorithm = Algorithm::ring) {
    std::vector<float> data(count, 1.0F);
    // Buckets belong to comm, so that an exception may unwind past them.
    const Region region = comm.allocate_buckets(Bytes(static_cast<std::int64_t>(count) * 4));
    const std::span<float> bucket(reinterpret_cast<float*>(region.data()), count);
    comm.wait(comm.all_reduce(bucket, algorithm, "bucket 0"), deadline);
}

class FailingWorlds : public ::testing::TestWithParam<int> {};

TEST_P(FailingWorlds, ARankThatThrowsEndsTheJobForAll) {
    const int ranks = GetParam();
    World world = in_process_world(ranks, quick_options());
    std::atomic<int> spoken{0};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        as_main(comm, spoken, [&] {
            sum(comm, 1000, late());
            if (comm.rank() == 1) throw DataError("shard-03.h5: chunk 17: checksum");
            sum(comm, 1000, late());
            sum(comm, 1000, late());
        });
    });
    EXPECT_EQ(spoken.load(), 1);
    for (int r = 0; r < ranks; ++r) {
        const Ending& e = endings[static_cast<std::size_t>(r)];
        if (r == 1) {
            EXPECT_EQ(e.other_error, "shard-03.h5: chunk 17: checksum");
            continue;
        }
        ASSERT_TRUE(e.verdict) << r << ": " << e.other_error;
        EXPECT_FALSE(e.speaker);
        EXPECT_EQ(e.verdict->rank, 1);
        EXPECT_EQ(e.verdict->error_class, ErrorClass::data);
        EXPECT_THAT(e.verdict->str(), HasSubstr("DataError: shard-03.h5: chunk 17: checksum"));
    }
}

TEST_P(FailingWorlds, RanksThatFailTogetherHaveOneSpeaker) {
    CommOptions options = quick_options();
    options.abort_grace = 0.5;
    World world = in_process_world(GetParam(), options);
    std::atomic<int> spoken{0};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        as_main(comm, spoken, [&] {
            // All but rank 0 miss the same folder.
            if (comm.rank() != 0) throw DataError("no such folder");
            sum(comm, 1000, late());
        });
    });
    EXPECT_EQ(spoken.load(), 1);
    ASSERT_TRUE(endings[0].verdict);
    EXPECT_EQ(endings[0].verdict->rank, 1);  // the lowest of those that failed
    EXPECT_FALSE(endings[0].speaker);
}

TEST_P(FailingWorlds, AMissingRankIsNamedWithWhatItDoes) {
    const int ranks = GetParam();
    World world = in_process_world(ranks, quick_options());
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == ranks - 1) {
            comm.set_state(Phase::data, "LoadMicrobatch 3");
            // It reads for longer than the others wait; its progress thread answers meanwhile.
            std::this_thread::sleep_for(std::chrono::milliseconds(1800));
        }
        comm.set_state(Phase::step, "ReduceBucket 0");
        sum(comm, 1000, soon());
    });
    EXPECT_EQ(speakers(endings), 1);
    for (const Ending& e : endings) {
        ASSERT_TRUE(e.verdict) << e.other_error;
        EXPECT_EQ(e.verdict->kind, "MISSING") << e.verdict->str();
        EXPECT_EQ(e.verdict->rank, ranks - 1);
        EXPECT_EQ(e.verdict->phase, "data");
        EXPECT_EQ(e.verdict->instruction, "LoadMicrobatch 3");
        EXPECT_EQ(e.verdict->error_class, ErrorClass::comm_timeout);
        EXPECT_THAT(e.verdict->reason, HasSubstr("'bucket 0'"));
    }
}

TEST_P(FailingWorlds, DifferentCountsAreAMismatch) {
    const int ranks = GetParam();
    World world = in_process_world(ranks, quick_options());
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        sum(comm, 640, late());
        sum(comm, comm.rank() == 1 ? 960 : 1000, soon());
    });
    EXPECT_EQ(speakers(endings), 1);
    for (const Ending& e : endings) {
        ASSERT_TRUE(e.verdict) << e.other_error;
        EXPECT_EQ(e.verdict->kind, "MISMATCH") << e.verdict->str();
        EXPECT_EQ(e.verdict->rank, 1);
        EXPECT_THAT(e.verdict->reason, HasSubstr("all_reduce #1 of 1000 f32 by ring"));
        EXPECT_THAT(e.verdict->reason, HasSubstr("rank 1 called all_reduce #1 of 960 f32 by ring"));
    }
}

TEST_P(FailingWorlds, AnotherOrderIsAMismatch) {
    World world = in_process_world(GetParam(), quick_options());
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == 1) comm.barrier("early barrier", soon());
        sum(comm, 1000, soon());
    });
    EXPECT_EQ(speakers(endings), 1);
    for (const Ending& e : endings) {
        ASSERT_TRUE(e.verdict) << e.other_error;
        EXPECT_EQ(e.verdict->kind, "MISMATCH") << e.verdict->str();
    }
}

INSTANTIATE_TEST_SUITE_P(Ranks, FailingWorlds, ::testing::Values(2, 3, 5));

struct StopCase {
    int ranks;
    int stopped;
    std::int64_t at_send;
    Algorithm algorithm;
};

class StoppedRanks : public ::testing::TestWithParam<StopCase> {};

TEST_P(StoppedRanks, AreNamedAndNotTheirVictims) {
    const StopCase& c = GetParam();
    const auto stopped = std::make_shared<std::atomic<bool>>(false);
    std::vector<std::unique_ptr<Transport>> transports = in_process_transports(c.ranks);
    FaultPlan plan;
    plan.stop_at_send = c.at_send;
    plan.stopped = stopped;
    auto& place = transports[static_cast<std::size_t>(c.stopped)];
    place = faulty_transport(std::move(place), plan);
    World world = world_over(std::move(transports), quick_options());
    std::atomic<int> others_left{c.ranks - 1};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == c.stopped) {
            // Its compute thread is stopped as well, until the others are gone.
            std::vector<float> data(1000, 1.0F);
            const Ticket ticket = comm.all_reduce(data, c.algorithm, "bucket 0");
            while (others_left.load() > 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
            stopped->store(false);
            comm.wait(ticket, late());
        } else {
            struct Leave {
                std::atomic<int>& left;
                ~Leave() { --left; }
            } const leave{others_left};
            sum(comm, 1000, soon(), c.algorithm);
        }
    });
    int speaking = 0;
    for (int r = 0; r < c.ranks; ++r) {
        const Ending& e = endings[static_cast<std::size_t>(r)];
        if (r == c.stopped) continue;
        speaking += e.speaker ? 1 : 0;
        ASSERT_TRUE(e.verdict) << e.other_error;
        EXPECT_EQ(e.verdict->kind, "DEAD") << e.verdict->str();
        EXPECT_EQ(e.verdict->rank, c.stopped) << e.verdict->str();
        EXPECT_EQ(e.verdict->error_class, ErrorClass::comm_timeout);
        EXPECT_NE(e.verdict->host, "");
        EXPECT_NE(e.verdict->host, "unknown");
    }
    EXPECT_EQ(speaking, 1);
}

INSTANTIATE_TEST_SUITE_P(Cases, StoppedRanks,
                         ::testing::Values(StopCase{2, 1, 0, Algorithm::ring},
                                           StopCase{3, 0, 3, Algorithm::ring},
                                           StopCase{4, 2, 7, Algorithm::ring},
                                           StopCase{4, 0, 1, Algorithm::halving_doubling},
                                           StopCase{5, 3, 2, Algorithm::halving_doubling}));

TEST(Failures, ALostMessageIsASlowVerdictAndNoHang) {
    std::vector<std::unique_ptr<Transport>> transports = in_process_transports(3);
    FaultPlan plan;
    // The last one: earlier ones would be taken for the next, and be found by their sizes.
    const StepList list = ring_all_reduce(3, 1, 1000, 64);
    plan.drop_send = std::count_if(list.begin(), list.end(), [](const Step& s) { return sends(s.verb); }) - 1;
    transports[1] = faulty_transport(std::move(transports[1]), plan);
    World world = world_over(std::move(transports), quick_options());
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        sum(comm, 1000, soon());
        comm.barrier("after", late());
    });
    EXPECT_EQ(speakers(endings), 1);
    for (const Ending& e : endings) {
        ASSERT_TRUE(e.verdict) << e.other_error;
        EXPECT_EQ(e.verdict->kind, "SLOW");
    }
}

TEST(Failures, ARankThatLeavesIsLost) {
    World world = in_process_world(3, quick_options());
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        sum(comm, 100, late());
        if (comm.rank() == 0) {
            world[0].reset();
            return;
        }
        sum(comm, 100, late());
    });
    EXPECT_EQ(speakers(endings), 1);
    for (const std::size_t r : {1U, 2U}) {
        ASSERT_TRUE(endings[r].verdict) << endings[r].other_error;
        EXPECT_EQ(endings[r].verdict->rank, 0);
        EXPECT_EQ(endings[r].verdict->error_class, ErrorClass::peer_lost);
        EXPECT_THAT(endings[r].verdict->reason, HasSubstr("left the job"));
    }
}

TEST(Failures, AProgressThatComesJustInTimeIsNoFailure) {
    CommOptions options = quick_options();
    options.verdict_window = 30;
    World world = in_process_world(2, options);
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == 1) std::this_thread::sleep_for(std::chrono::milliseconds(700));
        // Rank 0's deadline passes, and the verdict is still open when rank 1 comes.
        sum(comm, 1000, comm.rank() == 0 ? soon() : late());
        comm.finish(late());
    });
    for (const Ending& e : endings) {
        EXPECT_EQ(e.other_error, "");
        EXPECT_FALSE(e.verdict);
    }
}

TEST(Failures, AWorldOfOneSpeaksAtOnce) {
    World world = in_process_world(1, quick_options());
    std::atomic<int> spoken{0};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        as_main(comm, spoken, [] { throw NumericError("loss is NaN in step 7"); });
    });
    EXPECT_EQ(spoken.load(), 1);
    EXPECT_EQ(endings[0].other_error, "loss is NaN in step 7");
}

TEST(Failures, InlineProgressHearsOfThemToo) {
    CommOptions options = quick_options();
    options.inline_progress = true;
    World world = in_process_world(3, options);
    std::atomic<int> spoken{0};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        as_main(comm, spoken, [&] {
            if (comm.rank() == 2) throw DataError("bad label");
            sum(comm, 1000, late());
        });
    });
    EXPECT_EQ(spoken.load(), 1);
    EXPECT_EQ(endings[0].verdict->rank, 2);
    EXPECT_EQ(endings[1].verdict->rank, 2);
}

TEST(VerdictText, ReadsAsTheCommandLineSays) {
    const Verdict error{ErrorClass::data, "ERROR", 3, "n2", "data", "Load", "shard-03.h5: checksum"};
    EXPECT_EQ(error.str(), "rank 3 (host n2): DataError: shard-03.h5: checksum");
    const Verdict stall{ErrorClass::comm_timeout, "DEAD", 1, "n1", "", "", "does not answer"};
    EXPECT_EQ(stall.str(), "rank 1 (host n1): CommTimeout: DEAD: does not answer");
    EXPECT_EQ(JobFailed(stall, true).exit_code(), 5);
}

}  // namespace
}  // namespace trireme::comm
