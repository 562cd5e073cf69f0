// Sums that stay on the devices, on devices that share one schedule. Whatever it is: the bits are those of
// the way through the host, no two accesses of any ranks are unordered, and a rank that fails leaves nothing
// behind that still writes.
#include <thread>

#include <gmock/gmock.h>

#include "comm/faulty_transport.hpp"
#include "tests/async/async_training.hpp"
#include "tests/async/async_world.hpp"
#include "tests/async/library_double.hpp"

namespace trireme::async {
namespace {

using ::testing::HasSubstr;

class DeviceSums : public Async {
  protected:
    /// Trains ranks of which `change` has changed the device of rank 1; what is told of the sums.
    std::string told_where(const std::function<void(AsyncDevice&)>& change, RunSetup setup = convnet()) {
        const std::vector<std::string> wanted = plain(setup);
        Ranks ranks(setup.ranks, 1, {}, /*together=*/true);
        setup.backend = [&](int rank) {
            Backend backend = ranks.backend(rank);
            if (rank == 1) change(dynamic_cast<AsyncDevice&>(*backend.device));
            return backend;
        };
        std::string told;
        setup.told_of_sums = [&](const std::string& text) { told = text; };
        EXPECT_EQ(traces(run(setup)), wanted);
        return told;
    }

    static std::vector<std::string> trained(RunSetup setup, Ranks& ranks) {
        setup.backend = [&](int rank) { return ranks.backend(rank); };
        setup.world = [&](int count) {
            return clocked_world(count, ranks.schedule(0), setup.path == SumPath::mpi, {});
        };
        const std::vector<StepRecord> steps = run(setup);
        for (const StepRecord& step : steps)
            EXPECT_TRUE(step.gradients.empty()) << "the sums were on the host";
        return traces(steps);
    }

    static void expect_the_bits_of_the_host(RunSetup setup, SumPath path, std::uint64_t seeds) {
        const auto wanted = plain_both_ways(setup);
        setup.path = path;
        std::int64_t operations = 0;
        for (std::uint64_t seed = 0; seed < seeds && !HasFailure(); ++seed) {
            Ranks ranks(setup.ranks, seed, {}, /*together=*/true);
            setup.keeps_going = seed % 2 == 1;
            EXPECT_EQ(trained(setup, ranks), wanted[seed % 2]) << "seed " << seed;
            EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
            EXPECT_EQ(ranks.pinned(0), 0);
            operations += ranks.findings(0).operations;
        }
        fmt::print("async: {} by {} on {} ranks, {} seeds, {} operations\n", setup.graph().name(),
                   name_of(path), setup.ranks, seeds, operations);
    }
};

RunSetup residual(int ranks) {
    RunSetup setup{.ranks = ranks, .batch = 20, .steps = 2, .lr = 0.05, .canonical = true};
    setup.graph = test::tiny_residual;
    return setup;
}

RunSetup by(comm::Algorithm algorithm, int ranks) {
    RunSetup setup = convnet();
    setup.ranks = ranks;
    setup.algorithm = algorithm;
    return setup;
}

TEST_F(DeviceSums, OfPeersByTheRing) {
    expect_the_bits_of_the_host(by(comm::Algorithm::ring, 2), SumPath::ipc, 100);
    expect_the_bits_of_the_host(by(comm::Algorithm::ring, 3), SumPath::ipc, 100);
}

TEST_F(DeviceSums, OfPeersByHalvingAndDoubling) {
    expect_the_bits_of_the_host(by(comm::Algorithm::halving_doubling, 2), SumPath::ipc, 100);
    expect_the_bits_of_the_host(by(comm::Algorithm::halving_doubling, 3), SumPath::ipc, 100);
}

TEST_F(DeviceSums, OfPeersAlongTheTree) {
    expect_the_bits_of_the_host(residual(2), SumPath::ipc, 60);
    expect_the_bits_of_the_host(residual(3), SumPath::ipc, 60);
    expect_the_bits_of_the_host(
        {.ranks = 4, .batch = 3, .steps = 3, .lr = 0.05, .canonical = true, .wisher = 3}, SumPath::ipc, 20);
}

TEST_F(DeviceSums, ByMessagesInDeviceMemory) {
    expect_the_bits_of_the_host(by(comm::Algorithm::ring, 3), SumPath::mpi, 60);
    expect_the_bits_of_the_host(by(comm::Algorithm::halving_doubling, 2), SumPath::mpi, 60);
    expect_the_bits_of_the_host(residual(3), SumPath::mpi, 40);
}

/// On two ranks a sum has one order only.
TEST_F(DeviceSums, ByALibraryOfTheDevice) {
    RunSetup setup = convnet();
    const std::vector<std::string> wanted = plain(setup);
    setup.path = SumPath::nccl;
    for (std::uint64_t seed = 0; seed < 60 && !HasFailure(); ++seed) {
        Ranks ranks(setup.ranks, seed, {}, /*together=*/true);
        ranks.library = [meeting = std::make_shared<LibraryMeeting>()] {
            return std::make_shared<LibraryDouble>(meeting);
        };
        EXPECT_EQ(trained(setup, ranks), wanted) << "seed " << seed;
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
    }
}

/// Leaves out one wait of rank 0 after the other.
TEST_F(DeviceSums, EveryWaitIsMissedOrImplied) {
    RunSetup setup = convnet();
    setup.path = SumPath::ipc;
    for (const bool keeps_going : {false, true}) {
        setup.keeps_going = keeps_going;
        expect_waits_are_missed(
            setup, [](const RunSetup& one, Ranks& ranks) { return trained(one, ranks); },
            /*together=*/true);
    }
}

/// All ways that the double of each has; the bits do not depend on which one is taken.
TEST_F(DeviceSums, AreChosenByMeasurement) {
    RunSetup setup = convnet();
    const std::vector<std::string> wanted = plain(setup);
    for (std::uint64_t seed = 0; seed < 10 && !HasFailure(); ++seed) {
        Ranks ranks(setup.ranks, seed, {}, /*together=*/true);
        ranks.library = [meeting = std::make_shared<LibraryMeeting>()] {
            return std::make_shared<LibraryDouble>(meeting);
        };
        setup.backend = [&](int rank) { return ranks.backend(rank); };
        setup.world = [&](int count) { return clocked_world(count, ranks.schedule(0), true, {}); };
        std::string told;
        setup.told_of_sums = [&](const std::string& text) { told = text; };
        EXPECT_EQ(traces(run(setup)), wanted) << "seed " << seed;
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
        for (const char* part :
             {"gradients between devices: ", "staged ", "ipc ", "nccl ", " ms", "not mpi: other ways"})
            EXPECT_THAT(told, HasSubstr(part));
        if (seed == 0) fmt::print("async: {}\n", told);
    }
}

TEST_F(DeviceSums, FallBackToTheHostWhereRanksDoNotReachEachOther) {
    EXPECT_THAT(told_where([](AsyncDevice& device) { device.blind = true; }),
                HasSubstr("gradients between devices: staged; not ipc: rank 1: it does not reach the "
                          "device of rank 0: the device sees no other; not mpi: "));
}

TEST_F(DeviceSums, FallBackToTheHostWhereADeviceSharesNoMemory) {
    EXPECT_THAT(
        told_where([](AsyncDevice& device) { device.selfish = true; }),
        HasSubstr("gradients between devices: staged; not ipc: rank 0: the device of rank 1 shares no "
                  "memory; not mpi: "));
}

/// Nothing but the numbers themselves tells that a device reads other memory than that of its peers.
TEST_F(DeviceSums, FallBackToTheHostWhereWhatADeviceReadsIsWrong) {
    const auto deceived = [](AsyncDevice& device) { device.deceived = true; };
    // Along the tree ranks have several operands, in slots of their own.
    for (const RunSetup& setup : {convnet(), residual(3)}) {
        EXPECT_THAT(
            told_where(deceived, setup),
            AllOf(HasSubstr("gradients between devices: staged; not ipc: rank "),
                  HasSubstr(": a sum of known numbers is wrong in "), HasSubstr("An IOMMU or PCIe ACS")));
    }
}

TEST_F(DeviceSums, EndWhereTheirPinnedWayIsWrong) {
    RunSetup setup = residual(3);
    setup.path = SumPath::ipc;
    Ranks ranks(setup.ranks, 1, {}, /*together=*/true);
    setup.backend = [&](int rank) {
        Backend backend = ranks.backend(rank);
        dynamic_cast<AsyncDevice&>(*backend.device).deceived = rank == 1;
        return backend;
    };
    try {
        (void)run(setup);
        ADD_FAILURE() << "a sum of what was never there";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(), HasSubstr(": a sum of known numbers is wrong in "));
    }
}

TEST_F(DeviceSums, DoWithoutALibraryThatSumsWrong) {
    RunSetup setup = convnet();
    const std::vector<std::string> wanted = plain(setup);
    Ranks ranks(setup.ranks, 1, {});
    auto meeting = std::make_shared<LibraryMeeting>();
    meeting->forgetful = true;
    ranks.library = [meeting] { return std::make_shared<LibraryDouble>(meeting); };
    setup.backend = [&](int rank) { return ranks.backend(rank); };
    std::string told;
    setup.told_of_sums = [&](const std::string& text) { told = text; };
    EXPECT_EQ(traces(run(setup)), wanted);
    EXPECT_THAT(told, HasSubstr("not nccl: rank 0: a sum of known numbers is wrong in "));
}

// One lane, without an executor around it.

/// A rank's memory of `count` floats that its peers see, and the lane in it.
struct LaneRank {
    LaneRank(Ranks& ranks, comm::Communicator& comm, std::int64_t count, std::int64_t segment_bytes)
        : backend(ranks.backend(comm.rank())),
          device(*backend.device),
          floats(count),
          peers(device, comm, Bytes(count * 4 + comm::staging_bytes(segment_bytes)), comm::late()),
          ops(std::make_shared<StreamMemoryOps>(device,
                                                [](Stream& stream, const InPlaceSum& sum) {
                                                    cuda::StepLaunches<AsyncLaunch>::add_in_place(stream,
                                                                                                  sum);
                                                })),
          comm_(comm),
          compute(device.make_stream()) {
        comm::LaneSetup setup;
        setup.ops = ops;
        setup.staging = {peers.data() + count * 4,
                         static_cast<std::size_t>(comm::staging_bytes(segment_bytes))};
        setup.segment_bytes = segment_bytes;
        setup.peers = peers.views();
        lane = comm.open_lane(std::move(setup));
    }
    ~LaneRank() { comm_.close_lane(lane); }

    [[nodiscard]] float* data() const { return reinterpret_cast<float*>(peers.data()); }
    [[nodiscard]] Bytes size() const { return Bytes(floats * 4); }
    void copy(void* to, const void* from) {
        compute->copy(static_cast<std::byte*>(to), static_cast<const std::byte*>(from), size());
    }

    Backend backend;
    Device& device;
    std::int64_t floats;
    PeerMemory peers;
    std::shared_ptr<StreamMemoryOps> ops;
    comm::Communicator& comm_;
    std::unique_ptr<Stream> compute;
    int lane = 0;
};

/// Values whose sum depends on the order.
std::vector<float> rounded(int rank, std::int64_t count) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<float>((i * 7 + 13) % 101) / (3.0F + 5.0F * static_cast<float>(rank));
    return values;
}

std::vector<float> summed_on_the_host(int ranks, std::int64_t count, comm::Algorithm algorithm) {
    comm::World world = comm::in_process_world(ranks, comm::quick_options());
    std::vector<float> sum;
    (void)comm::run_ranks(world, [&](comm::Communicator& comm) {
        std::vector<float> data = rounded(comm.rank(), count);
        comm.wait(comm.all_reduce(data, algorithm, "sum"), comm::late());
        comm.finish(comm::late());
        if (comm.rank() == 0) sum = data;
    });
    return sum;
}

constexpr std::int64_t sums_at_a_time = 6;  // of which four are played at once

/// Sums of `count` floats in many segments, several at a time.
void expect_lane_sums(int rank_count, comm::Algorithm algorithm, std::uint64_t seed) {
    constexpr std::int64_t count = 700;
    const std::vector<float> wanted = summed_on_the_host(rank_count, count, algorithm);
    Ranks ranks(rank_count, seed, {}, /*together=*/true);
    comm::World world = clocked_world(rank_count, ranks.schedule(0), false, comm::quick_options());
    const auto endings = comm::run_ranks(world, [&](comm::Communicator& comm) {
        LaneRank me(ranks, comm, sums_at_a_time * count, 256);
        const Region host(me.device.staging(), me.size());
        auto* values = reinterpret_cast<float*>(host.data());
        for (int round = 0; round < 2; ++round) {
            for (std::int64_t p = 0; p < sums_at_a_time; ++p)
                std::ranges::copy(rounded(comm.rank(), count), values + p * count);
            me.copy(me.data(), values);
            const std::shared_ptr<Event> there = me.device.make_event();
            me.compute->record(*there);
            std::vector<comm::Ticket> sums;
            std::vector<std::shared_ptr<Event>> ends;
            for (std::int64_t p = 0; p < sums_at_a_time; ++p) {
                const std::shared_ptr<Event>& end = ends.emplace_back(me.device.make_event());
                sums.push_back(comm.all_reduce({me.data() + p * count, static_cast<std::size_t>(count)},
                                               algorithm, "part", [there] { return there->done(); },
                                               {me.lane, [ops = me.ops, end] { ops->record(*end); }}));
            }
            for (std::size_t p = 0; p < sums.size(); ++p) {
                comm.wait(sums[p], comm::late());
                me.compute->wait(*ends[p]);
            }
            me.copy(values, me.data());
            me.compute->synchronize();
            for (std::int64_t p = 0; p < sums_at_a_time; ++p)
                EXPECT_EQ(std::vector<float>(values + p * count, values + (p + 1) * count), wanted);
        }
        comm.barrier("all have read", comm::late());
    });
    for (const comm::Ending& ending : endings) EXPECT_EQ(ending.other_error, "");
    EXPECT_EQ(ranks.races(), std::set<std::string>{}) << rank_count << " ranks, seed " << seed;
}

TEST_F(DeviceSums, InManySegmentsAndSeveralAtATime) {
    for (std::uint64_t seed = 0; seed < 12 && !HasFailure(); ++seed) {
        for (const int ranks : {2, 3, 5}) {
            expect_lane_sums(ranks, comm::Algorithm::ring, seed);
            expect_lane_sums(ranks, comm::Algorithm::halving_doubling, seed);
        }
    }
}

/// How rank 1 fails.
enum class Fault { leaves, stops, never_calls };

void expect_verdict(Fault fault, std::uint64_t seed) {
    constexpr std::int64_t count = 20000;
    Ranks ranks(2, seed, {}, /*together=*/true);
    const auto stopped = std::make_shared<std::atomic<bool>>(false);
    comm::FaultPlan plan;
    plan.stopped = stopped;
    if (fault == Fault::stops) plan.stop_at_send = 40;
    comm::World world = clocked_world(
        2, ranks.schedule(0), false, comm::quick_options(),
        [&](int rank, std::unique_ptr<comm::Transport> transport) {
            return rank == 1 ? comm::faulty_transport(std::move(transport), plan) : std::move(transport);
        });
    std::atomic<bool> over{false};
    const auto endings = comm::run_ranks(world, [&](comm::Communicator& comm) {
        LaneRank me(ranks, comm, count, 256);
        const auto data = std::span(me.data(), static_cast<std::size_t>(count));
        if (comm.rank() == 1) {
            comm::Ticket sum;
            if (fault != Fault::never_calls)
                sum = comm.all_reduce(data, comm::Algorithm::ring, "sum", {}, {me.lane, {}});
            if (fault == Fault::leaves) {
                std::this_thread::sleep_for(std::chrono::milliseconds(2));
                over = true;
                throw DataError("rank 1 leaves in the middle of a sum");
            }
            while (!over.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            *stopped = false;
            return;
        }
        const comm::Ticket sum = comm.all_reduce(data, comm::Algorithm::ring, "sum", {}, {me.lane, {}});
        try {
            comm.wait(sum, comm::soon());
        } catch (...) {
            // From here on the memory is the caller's.
            const auto* begin = me.peers.data();
            EXPECT_EQ(ranks.schedule(0)->unfinished_writes(0, begin, me.size().value), 0);
            const std::vector<float> kept(data.begin(), data.end());
            std::this_thread::sleep_for(std::chrono::milliseconds(30));
            EXPECT_EQ(std::vector<float>(data.begin(), data.end()), kept);
            EXPECT_EQ(ranks.schedule(0)->unfinished_writes(0, begin, me.size().value), 0);
            over = true;
            throw;
        }
        over = true;
    });
    ASSERT_TRUE(endings[0].verdict.has_value()) << endings[0].other_error;
    EXPECT_EQ(endings[0].verdict->rank, 1) << endings[0].verdict->str();
    if (fault == Fault::leaves) return;  // whichever rank asks first
    EXPECT_EQ(endings[0].verdict->kind, fault == Fault::stops ? "DEAD" : "MISSING")
        << endings[0].verdict->str();
}

TEST_F(DeviceSums, OfAPeerThatFailsEndWithAVerdictAndTouchNothing) {
    for (std::uint64_t seed = 0; seed < 3 && !HasFailure(); ++seed) {
        for (const Fault fault : {Fault::leaves, Fault::stops, Fault::never_calls}) {
            SCOPED_TRACE(static_cast<int>(fault));
            expect_verdict(fault, seed);
        }
    }
}

}  // namespace
}  // namespace trireme::async
