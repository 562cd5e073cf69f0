// Sums through the host whose buckets travel in many pieces: segments are small here, and pieces with them.
// The bits are those of buckets that come whole, no two accesses are unordered, every wait is missed, and a
// sum that is given up leaves no copy behind.
#include "runtime/exec/staged_sums.hpp"

#include <thread>

#include "comm/faulty_transport.hpp"
#include "comm/inproc_transport.hpp"
#include "tests/async/async_training.hpp"

namespace trireme::async {
namespace {

constexpr std::int64_t small_segment = 64;  // bytes: a bucket of 2 KiB travels in eight pieces

class StagedInPieces : public Async {
  protected:
    static RunSetup in_pieces(RunSetup setup) {
        setup.path = SumPath::staged;
        setup.world = [](int ranks) {
            return comm::in_process_world(ranks, {.segment_bytes = small_segment});
        };
        return setup;
    }
    static RunSetup by(comm::Algorithm algorithm, int ranks) {
        RunSetup setup = convnet();
        setup.ranks = ranks;
        setup.algorithm = algorithm;
        return in_pieces(setup);
    }
};

TEST_F(StagedInPieces, BucketsAreCut) {
    Ranks whole(2, 1, {});
    const std::vector<std::string> wanted = asynchronous(convnet(), whole);
    Ranks cut(2, 1, {});
    EXPECT_EQ(asynchronous(in_pieces(convnet()), cut), wanted);
    EXPECT_GT(cut.findings(0).operations, whole.findings(0).operations + 100);
}

TEST_F(StagedInPieces, ByTheRing) {
    expect_the_same(by(comm::Algorithm::ring, 2), 200);
    expect_the_same(by(comm::Algorithm::ring, 3), 100);
}

TEST_F(StagedInPieces, ByHalvingAndDoubling) {
    expect_the_same(by(comm::Algorithm::halving_doubling, 2), 100);
    expect_the_same(by(comm::Algorithm::halving_doubling, 3), 100);
}

TEST_F(StagedInPieces, AlongTheTree) {
    RunSetup setup{.ranks = 3, .batch = 20, .steps = 3, .lr = 0.05, .canonical = true};
    setup.graph = test::tiny_residual;
    expect_the_same(in_pieces(setup), 60);
}

TEST_F(StagedInPieces, AlongTheTreeWithShortStepsAndRanksWithoutSamples) {
    // Of 208 samples every third step is short.
    expect_the_same(
        in_pieces({.ranks = 2, .batch = 90, .steps = 6, .lr = 0.05, .canonical = true, .capture = false}),
        30);
    expect_the_same(
        in_pieces({.ranks = 4, .batch = 3, .steps = 3, .lr = 0.05, .canonical = true, .wisher = 3}), 30);
}

TEST_F(StagedInPieces, EveryWaitIsMissedOrImplied) {
    expect_waits_are_missed(in_pieces(convnet()),
                            [](const RunSetup& setup, Ranks& ranks) { return asynchronous(setup, ranks); });
}

/// A rank's buckets and their sums, without an executor around them; what goes first when an exception
/// unwinds is what goes first there.
struct StagedRank {
    StagedRank(Ranks& ranks, comm::Communicator& comm)
        : graph(test::tiny_convnet_fused()),
          backend(ranks.backend(comm.rank())),
          selection(graph, backend.providers, SelectionOptions{}),
          plan(selection, spec(), 2, std::nullopt),
          gradients(backend.device->memory(), bytes_of(plan.device_gradients(comm.rank()), DType::f32)) {
        compute = backend.device->make_stream();
        buckets = static_cast<int>(plan.buckets().buckets().size());
        transfers.emplace(*backend.device, *compute, BatchBytes{}, buckets, 1);
        sums = std::make_unique<StagedSums>(SumSite{&plan, &comm, backend.device.get(), &*transfers,
                                                    reinterpret_cast<float*>(gradients.data())});
    }
    static ParallelSpec spec() {
        ParallelSpec spec;
        spec.data = 2;
        spec.batch = 8;
        spec.bucket_bytes = Bytes(2048);
        spec.path = SumPath::staged;
        return spec;
    }

    layers::ModelGraph graph;
    Backend backend;
    Selection selection;
    ParallelPlan plan;
    Region gradients;
    std::unique_ptr<StagedSums> sums;
    std::optional<DeviceTransfers> transfers;
    std::unique_ptr<Stream> compute;
    int buckets = 0;
};

/// Rank 1 stops in the middle; rank 0, whose first results are on their way back, gives up.
void expect_nothing_left(std::int64_t stop_at_send, std::uint64_t seed) {
    Ranks ranks(2, seed, {});
    comm::FaultPlan faults;
    faults.stop_at_send = stop_at_send;
    auto transports = comm::in_process_transports(2);
    transports[1] = comm::faulty_transport(std::move(transports[1]), faults);
    comm::World world = comm::world_over(std::move(transports), comm::quick_options(small_segment));
    std::atomic<bool> over{false};
    const auto endings = comm::run_ranks(world, [&](comm::Communicator& comm) {
        StagedRank me(ranks, comm);
        std::vector<comm::Ticket> started;
        for (int b = 0; b < me.buckets; ++b) {
            me.transfers->gradients_ready(b);
            started.push_back(me.sums->start(b, StepKind::full));
        }
        if (comm.rank() == 1) {
            while (!over.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
            *faults.stopped = false;
            return;
        }
        try {
            for (const comm::Ticket& sum : started) comm.wait(sum, comm::soon());
        } catch (...) {
            EXPECT_EQ(ranks.schedule(0)->unfinished_writes(0, me.gradients.data(), me.gradients.size().value),
                      0);
            over = true;
            throw;
        }
        over = true;
    });
    ASSERT_TRUE(endings[0].verdict.has_value()) << endings[0].other_error;
    EXPECT_EQ(endings[0].verdict->rank, 1) << endings[0].verdict->str();
    EXPECT_EQ(ranks.races(), std::set<std::string>{});
    EXPECT_EQ(ranks.pinned(0), 0);
}

TEST_F(StagedInPieces, OfAPeerThatStopsLeaveNoCopyInFlight) {
    for (std::uint64_t seed = 0; seed < 3 && !HasFailure(); ++seed) {
        for (const std::int64_t send : {20, 27, 40}) {
            SCOPED_TRACE(testing::Message() << "stopped at send " << send << ", seed " << seed);
            expect_nothing_left(send, seed);
        }
    }
}

/// The memory goes while sums are under way, or just done; their tickets stay.
TEST_F(StagedInPieces, ThatNobodyWaitsForAreGivenUp) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Ranks ranks(2, seed, {});
        comm::World world = comm::in_process_world(2, comm::quick_options(small_segment));
        (void)comm::run_ranks(world, [&](comm::Communicator& comm) {
            std::vector<comm::Ticket> kept;
            StagedRank me(ranks, comm);
            for (int b = 0; b < me.buckets; ++b) {
                me.transfers->gradients_ready(b);
                kept.push_back(me.sums->start(b, StepKind::full));
            }
            if (seed % 2 == 0) return;
            for (const comm::Ticket& sum : kept) comm.wait(sum, comm::late());
            // Once comm has ended, nobody but the sums themselves can wait for their copies.
            if (seed % 4 == 1) return comm.finish(comm::late());
            comm.barrier("all have their sums", comm::late());
        });
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
        EXPECT_EQ(ranks.pinned(0) + ranks.pinned(1), 0);
    }
}

}  // namespace
}  // namespace trireme::async
