// The collectives of the Communicator on 1 to 8 threads as ranks.
#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include <gtest/gtest.h>

#include "comm/faulty_transport.hpp"
#include "comm/inproc_transport.hpp"
#include "comm/recording_transport.hpp"
#include "comm/ring.hpp"
#include "comm/tag.hpp"
#include "runtime/core/philox.hpp"
#include "tests/multirank/ranks.hpp"
#include "tests/support/collective_cases.hpp"

namespace trireme::comm {
namespace {

using test::inputs;
using test::sums;

void expect_all_well(const std::vector<Ending>& endings) {
    for (const Ending& e : endings) {
        EXPECT_EQ(e.other_error, "");
        EXPECT_FALSE(e.verdict) << e.verdict->str();
    }
}

class Worlds : public ::testing::TestWithParam<int> {};

TEST_P(Worlds, AllReduceOfManySizes) {
    World world = in_process_world(GetParam(), quick_options());
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        test::check_all_reduce(comm, {0, 1, 2, 13, 127, 1009, 10007}, late());
        comm.finish(late());
    }));
}

TEST_P(Worlds, ManyInFlightDoNotCross) {
    World world = in_process_world(GetParam(), quick_options());
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        test::check_many_in_flight(comm, 30, 97, late());
        comm.finish(late());
    }));
}

TEST_P(Worlds, BroadcastFromEveryRoot) {
    World world = in_process_world(GetParam(), quick_options());
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        test::check_broadcast(comm, 1009, late());
        EXPECT_THROW(comm.broadcast({}, comm.size(), "no such root", late()), InternalError);
        comm.finish(late());
    }));
}

TEST_P(Worlds, AllGatherOfTexts) {
    World world = in_process_world(GetParam(), quick_options(4096));
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        const auto text_of = [](int rank) {
            return rank % 3 == 1 ? std::string()
                                 : std::string(static_cast<std::size_t>(rank) * 300000 + 5, 'a');
        };
        test::check_all_gather(comm, text_of, late());
        comm.finish(late());
    }));
}

TEST_P(Worlds, BarrierHoldsUntilAllHaveCome) {
    World world = in_process_world(GetParam(), quick_options());
    std::atomic<int> arrived{0};
    expect_all_well(run_ranks(world, [&](Communicator& comm) {
        for (int round = 1; round <= 20; ++round) {
            ++arrived;
            comm.barrier("round", late());
            EXPECT_GE(arrived.load(), round * comm.size());
        }
        comm.finish(late());
    }));
}

TEST_P(Worlds, WithoutAProgressThread) {
    CommOptions options = quick_options();
    options.inline_progress = true;
    World world = in_process_world(GetParam(), options);
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        std::vector<float> a = inputs(comm.rank(), 5000);
        std::vector<float> b = inputs(comm.rank(), 300);
        const Ticket first = comm.all_reduce(a, Algorithm::ring, "a");
        const Ticket second = comm.all_reduce(b, Algorithm::halving_doubling, "b");
        comm.wait(second, late());
        while (!first.done()) comm.poll();
        EXPECT_EQ(a, sums(comm.size(), 5000));
        EXPECT_EQ(b, sums(comm.size(), 300));
        EXPECT_NE(comm.dump_state().find("2 collectives called"), std::string::npos);
        comm.finish(late());
    }));
}

INSTANTIATE_TEST_SUITE_P(Ranks, Worlds, ::testing::Range(1, 9));

/// Sums of values whose sum depends on the order, as rank 0 sees them.
std::vector<float> rounded_sums(Algorithm algorithm, int most_polls_late, std::uint64_t seed) {
    std::vector<std::unique_ptr<Transport>> transports;
    for (auto& transport : in_process_transports(5)) {
        FaultPlan plan;
        plan.seed = seed++;
        plan.most_polls_late = most_polls_late;
        transports.push_back(faulty_transport(std::move(transport), plan));
    }
    World world = world_over(std::move(transports), quick_options());
    std::vector<std::vector<float>> results(5);
    expect_all_well(run_ranks(world, [&](Communicator& comm) {
        const RandomStream random(7, "values", static_cast<std::uint64_t>(comm.rank()));
        std::vector<float> data(3000);
        for (std::size_t i = 0; i < data.size(); ++i) data[i] = random.uniform(i) - 0.3F;
        comm.wait(comm.all_reduce(data, algorithm, "rounded"), late());
        results[static_cast<std::size_t>(comm.rank())] = data;
        comm.finish(late());
    }));
    for (const auto& r : results) EXPECT_EQ(r, results[0]);
    return results[0];
}

TEST(Bits, DoNotDependOnTiming) {
    for (const Algorithm algorithm : {Algorithm::ring, Algorithm::halving_doubling}) {
        const std::vector<float> calm = rounded_sums(algorithm, 0, 1);
        for (std::uint64_t seed = 10; seed < 50; seed += 10) {
            EXPECT_EQ(rounded_sums(algorithm, 30, seed), calm);
        }
    }
}

TEST(Record, BytesAndTagsAreThoseOfTheLists) {
    const auto record = std::make_shared<MessageRecord>();
    std::vector<std::unique_ptr<Transport>> transports;
    for (auto& t : in_process_transports(3)) transports.push_back(recording_transport(std::move(t), record));
    World world = world_over(std::move(transports), quick_options());
    expect_all_well(run_ranks(world, [](Communicator& comm) {
        std::vector<float> a = inputs(comm.rank(), 600);
        std::vector<float> b = inputs(comm.rank(), 600);
        const Ticket first = comm.all_reduce(a, Algorithm::ring, "a");
        const Ticket second = comm.all_reduce(b, Algorithm::ring, "b");
        comm.wait(first, late());
        comm.wait(second, late());
        comm.finish(late());
    }));
    std::map<std::uint64_t, std::int64_t> bytes_by_sequence;
    std::set<int> tags;
    for (const SentMessage& m : record->messages()) {
        bytes_by_sequence[unpack_tag(m.tag).sequence] += m.bytes;
        tags.insert(m.tag);
        EXPECT_LE(m.bytes, 256);
    }
    // Each of the 3 ranks sends 2 N (n - 1) / n elements; the barrier of finish sends none.
    EXPECT_EQ(bytes_by_sequence[0], 3 * 4 * 2 * 600 * 2 / 3);
    EXPECT_EQ(bytes_by_sequence[1], bytes_by_sequence[0]);
    EXPECT_EQ(bytes_by_sequence[2], 0);
    EXPECT_EQ(tags.size(), 3U);
}

class SpanList final : public TraceSink {
  public:
    void span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
              std::string_view detail) override {
        const std::lock_guard lock(mutex_);
        EXPECT_EQ(track, Track::comm);
        EXPECT_LE(begin, end);
        spans_.push_back(std::string(name) + ": " + std::string(detail));
    }
    std::vector<std::string> spans() const {
        const std::lock_guard lock(mutex_);
        return spans_;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<std::string> spans_;
};

TEST(Trace, EachCollectiveIsASpan) {
    SpanList spans;
    World world = in_process_world(2, quick_options());
    expect_all_well(run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == 0) comm.set_trace(&spans);
        std::vector<float> data = inputs(comm.rank(), 256);
        comm.wait(comm.all_reduce(data, Algorithm::ring, "bucket 4"), late());
        comm.set_trace(nullptr);
        comm.finish(late());
    }));
    ASSERT_EQ(spans.spans().size(), 1U);
    EXPECT_EQ(spans.spans()[0], "bucket 4: 1.0 KiB, all_reduce #0 of 256 f32 by ring");
}

TEST(Buckets, AreZeroedAndMayGoWhileInFlight) {
    World world = in_process_world(2, quick_options());
    std::atomic<bool> released{false};
    const auto endings = run_ranks(world, [&](Communicator& comm) {
        if (comm.rank() == 1) {
            while (!released.load()) std::this_thread::yield();
            throw DataError("rank 1 has come too late");
        }
        {
            const Region region = comm.allocate_buckets(Bytes(40000));
            const std::span<float> data(reinterpret_cast<float*>(region.data()), 10000);
            for (const float value : data) ASSERT_EQ(value, 0.0F);
            const Ticket ticket = comm.all_reduce(data, Algorithm::ring, "bucket");
            EXPECT_FALSE(ticket.done());
        }
        released.store(true);
    });
    EXPECT_EQ(endings[1].other_error, "rank 1 has come too late");
}

}  // namespace
}  // namespace trireme::comm
