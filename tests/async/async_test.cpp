// Training steps as an asynchronous device runs them: the lowering with its fused nodes, buffers, streams and
// waits, and a body for each node. Whatever the schedule, the bits are those of a device that does everything
// at once; no two accesses are unordered; and every wait is missed when it is left out, unless others imply
// it.
#include "tests/async/async_training.hpp"
#include "tests/unit/runtime/stepper.hpp"

namespace trireme::async {
namespace {

TEST_F(Async, ConvolutionsOnTwoRanks) { expect_the_same(convnet(), 500); }

TEST_F(Async, ResidualNetworkLeafByLeafOnThreeRanks) {
    RunSetup setup{.ranks = 3, .batch = 20, .steps = 4, .lr = 0.05, .canonical = true};
    setup.graph = test::tiny_residual;
    setup.recompute = 2;
    expect_the_same(setup, 200);
}

TEST_F(Async, TransformerOnOneRankInBf16) {
    RunSetup setup{.ranks = 1, .batch = 6, .microbatches = 2, .steps = 4, .lr = 0.1};
    setup.graph = [] {
        return layers::store_as_bf16(layers::fuse_feed_forward(test::tiny_gpt()).graph).graph;
    };
    setup.text = true;
    expect_the_same(setup, 200);
}

/// What backward_input reads is made by backward_weight, in memory that forward has written.
TEST_F(Async, ChainsWithNormsOnTwoRanksInFp16) {
    RunSetup setup{.ranks = 2, .batch = 12, .microbatches = 2, .steps = 2, .lr = 0.05};
    setup.graph = test::tiny_chains_f16;
    expect_the_same(setup, 50);
}

TEST_F(Async, RanksWithoutSamples) {
    expect_the_same({.ranks = 5, .batch = 3, .steps = 3, .lr = 0.05}, 100);
    expect_the_same({.ranks = 4, .batch = 3, .steps = 3, .lr = 0.05, .canonical = true, .wisher = 3}, 100);
}

TEST_F(Async, StepsThatAreLaunchedPieceByPiece) {
    RunSetup setup = convnet();
    setup.capture = false;
    expect_the_same(setup, 50);
}

/// The loader is behind: samples come with their step.
TEST_F(Async, BatchesThatAreNotThereAhead) {
    RunSetup setup = convnet();
    setup.ahead = false;
    expect_the_same(setup, 50);
    setup.ranks = 1;  // no sums, for which the host would wait
    expect_the_same(setup, 50);
}

/// Over the short last steps of two epochs: a kind of its own, captured in the second.
TEST_F(Async, ShortStepsAreCapturedToo) {
    RunSetup setup = convnet();
    setup.batch = 90;  // 208 samples: every third step is short
    setup.steps = 9;
    const std::vector<std::string> wanted = plain(setup);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Ranks ranks(2, seed, {});
        EXPECT_EQ(asynchronous(setup, ranks), wanted) << "seed " << seed;
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
        EXPECT_EQ(ranks.findings(0).replays, 2 * (9 - 2));
    }
}

/// A step whose samples are others than those that were sent ahead.
TEST_F(Async, StepsThatAreLeftOut) {
    RunSetup setup = convnet();
    setup.nan = NanPolicy::skip;
    setup.spoilt_step = 2;
    expect_the_same(setup, 50);
}

/// While it may still be busy with the step.
TEST_F(Async, TheBatchMayGoBehindItsLaunch) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Ranks ranks(1, seed, {});
        test::Stepper stepper(test::tiny_convnet_fused(), ranks.backend(0), 1, 2);
        stepper.launch();
        stepper.spoil();
        EXPECT_NO_THROW(stepper.executor().settle()) << "seed " << seed;
    }
}

/// The error comes with the next launch, and neither changes anything.
TEST_F(Async, AStepThatIsNotFiniteEndsTheNextLaunch) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Ranks ranks(1, seed, {});
        test::Stepper stepper(test::tiny_convnet_fused(), ranks.backend(0), 1, 2);
        stepper.step();
        const std::string before = stepper.state().state_sha256("");
        stepper.spoil();
        stepper.launch();
        EXPECT_THROW(stepper.launch(), NumericError);
        EXPECT_EQ(stepper.state().state_sha256(""), before);
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
    }
}

/// What an executor that only evaluates says of four samples, at the second of two batches.
std::vector<float> predicted(Backend backend) {
    const layers::ModelGraph graph = test::tiny_residual();
    const Selection selection(graph, backend.providers, SelectionOptions{});
    const ParallelPlan plan(selection, {.data = 1, .batch = 8}, 1, std::nullopt);
    ModelState state(graph, plan.buckets(), OptimizerSpec{}, *backend.device);
    state.initialise(3);
    auto world = comm::in_process_world(1, comm::CommOptions{});
    ExecutorParts parts;
    parts.plan = &plan;
    parts.state = &state;
    parts.device = backend.device.get();
    parts.step_kernels = backend.step_kernels;
    parts.comm = world.front().get();
    parts.eval_batch = 4;
    Executor executor(parts);
    std::vector<float> said;
    for (const float shift : {0.0F, 0.5F}) {
        std::vector<float> x(4 * 64);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 17) / 17 - shift;
        const std::vector<std::int32_t> y(4, 1);
        const auto out = executor.forward({std::as_bytes(std::span(x)), std::as_bytes(std::span(y)), 3});
        said.assign(out.logits.begin(), out.logits.end());
        said.insert(said.end(), out.loss.begin(), out.loss.end());
    }
    world.front()->finish(Deadline::in_seconds(60));
    return said;
}

TEST_F(Async, PredictionsComeBackToTheHost) {
    const std::vector<float> wanted = predicted(hostrun::host_run_backend());
    EXPECT_EQ(wanted.size(), 3U * 5 + 3);
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        Ranks ranks(1, seed, {});
        EXPECT_EQ(predicted(ranks.backend(0)), wanted) << "seed " << seed;
        EXPECT_EQ(ranks.races(), std::set<std::string>{}) << "seed " << seed;
    }
}

/// A host that runs ahead of the device gives the next orders while a step's are still under way.
TEST_F(Async, OrdersAreNotOverwrittenUnderWay) {
    const layers::ModelGraph graph = test::tiny_convnet_fused();
    const GradBuckets buckets(graph, Bytes(2048));
    const auto words = static_cast<std::int64_t>(StatusWord::count);
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Ranks ranks(1, seed, {});
        const Backend backend = ranks.backend(0);
        Device& device = *backend.device;
        ModelState state(graph, buckets, OptimizerSpec{}, device);
        const Region gradients(device.memory(), bytes_of(buckets.arena_elements(), DType::f32));
        StepParts parts;
        parts.device = &device;
        parts.state = &state;
        parts.gradients = reinterpret_cast<const float*>(gradients.data());
        parts.elements = buckets.arena_elements().value;
        parts.status_offset = buckets.status_offset();
        const auto kernels = backend.step_kernels(parts);
        constexpr int steps = 8;
        const Region status(device.memory(), bytes_of(Elements(steps * words), DType::f32));
        auto* told = reinterpret_cast<float*>(status.data());
        const auto stream = device.make_stream();
        for (int s = 0; s < steps; ++s) {
            kernels->begin(*stream, {.stop_wish = static_cast<float>(s)});
            kernels->clear(*stream, told + s * words, words, told + s * words);
        }
        stream->synchronize();
        for (int s = 0; s < steps; ++s)
            EXPECT_EQ(told[s * words + static_cast<int>(StatusWord::stop)], static_cast<float>(s));
    }
}

/// A rank that waits for sums which never come gives up; what it launched is still queued then, and comm asks
/// after its copies.
TEST_F(Async, UnwindingWaitsForWhatIsInFlight) {
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
        Ranks ranks(2, seed, {});
        comm::World world = comm::in_process_world(2, comm::quick_options());
        const auto endings = comm::run_ranks(world, [&](comm::Communicator& comm) {
            if (comm.rank() == 1) return comm.barrier("another way", comm::late());
            const layers::ModelGraph graph = test::tiny_convnet_fused();
            const Backend backend = ranks.backend(0);
            const Selection selection(graph, backend.providers, SelectionOptions{});
            const ParallelPlan plan(selection, {.data = 2, .batch = 8, .path = SumPath::staged}, 2,
                                    std::nullopt);
            ModelState state(graph, plan.buckets(), OptimizerSpec{}, *backend.device);
            state.initialise(3);
            StepGuard guard(NanPolicy::stop);
            ExecutorParts parts;
            parts.plan = &plan;
            parts.state = &state;
            parts.device = backend.device.get();
            parts.step_kernels = backend.step_kernels;
            parts.comm = &comm;
            parts.guard = &guard;
            const std::vector<float> x(4 * 64, 0.5F);
            const std::vector<std::int32_t> y(4, 1);
            Executor executor(parts);
            EXPECT_EQ(ranks.pinned(0), 1);
            StepInputs inputs;
            inputs.batch = {std::as_bytes(std::span(x)), std::as_bytes(std::span(y)), 4};
            inputs.deadline = comm::soon();
            (void)executor.launch(inputs);
        });
        EXPECT_TRUE(endings[0].verdict.has_value()) << endings[0].other_error;
        EXPECT_EQ(ranks.pinned(0), 0);
    }
}

/// Marks between launches change no bit and name every instruction of a step, also where it is replayed.
TEST_F(Async, LaunchesAreTimedWhereverTheyAreLaunched) {
    RunSetup setup = convnet();
    const std::vector<std::string> wanted = plain(setup);
    setup.times_launches = true;
    for (const bool capture : {true, false}) {
        setup.capture = capture;
        Ranks ranks(setup.ranks, 2, {});
        setup.backend = [&](int rank) { return ranks.backend(rank); };
        const std::vector<StepRecord> steps = run(setup);
        EXPECT_EQ(traces(steps), wanted);
        EXPECT_EQ(ranks.races(), std::set<std::string>{});
        std::vector<std::string> first;
        for (const StepRecord& step : steps) {
            std::vector<std::string> names;
            for (const LaunchTime& launch : step.launches) {
                names.push_back(launch.what);
                EXPECT_GT(launch.seconds, 0) << launch.what;
            }
            if (first.empty()) first = names;
            EXPECT_EQ(names, first);
        }
        EXPECT_THAT(first, testing::IsSupersetOf(
                               {"forward conv1 mb0", "wait for samples", "wait for sums", "update"}));
        EXPECT_EQ(first.back(), "update");
        EXPECT_EQ(std::ranges::count(first, "wait for samples"), setup.microbatches);
    }
}

/// Leaves out one wait after the other.
TEST_F(Async, EveryWaitIsMissedOrImplied) {
    RunSetup setup = convnet();
    for (const bool keeps_going : {false, true}) {
        setup.keeps_going = keeps_going;
        expect_waits_are_missed(setup,
                                [](const RunSetup& one, Ranks& ranks) { return asynchronous(one, ranks); });
    }
}

}  // namespace
}  // namespace trireme::async
