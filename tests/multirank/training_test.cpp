// Threads as ranks train on shards of uneven sizes with batches that nothing divides; what they sum must be
// the gradient of one fp64 pass over the same samples, and the loss curve must not depend on the rank count.
#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "layers/init.hpp"
#include "layers/reference/reference.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/exec/executor.hpp"
#include "tests/support/tiny_graphs.hpp"
#include "tests/support/tiny_source.hpp"

namespace trireme {
namespace {

struct StepRecord {
    std::vector<std::int64_t> ids;  ///< samples of all ranks
    std::vector<float> x;
    std::vector<std::int32_t> y;
    std::vector<float> gradients;  ///< the bucket arena after the step, of rank 0
    double loss_sum = 0;
    std::int64_t samples = 0;
    std::string state_sha256;    ///< after the step, of rank 0
    std::vector<float> running;  ///< mean and variance of the first batch norm, if there is one
};

struct RunSetup {
    int ranks = 1;
    std::int64_t batch = 37;
    std::int64_t microbatches = 1;
    std::int64_t steps = 0;
    double lr = 0;
    std::string device = "reference";
    comm::Algorithm algorithm = comm::Algorithm::automatic;
    bool canonical = false;
    std::int64_t virtual_shards = 0;
    layers::ModelGraph (*graph)() = test::tiny_convnet_fused;
};

class TrainingTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = std::make_unique<test::TemporaryFolder>();
        info_ = test::write_tiny_data_set(*folder_ / "set", {100, 101, 7, 0});
    }
    static void TearDownTestSuite() { folder_.reset(); }

    /// Every rank a thread; returns what each step did.
    static std::vector<StepRecord> run(const RunSetup& setup) {
        std::vector<StepRecord> steps(static_cast<std::size_t>(setup.steps));
        auto world = comm::in_process_world(setup.ranks, comm::CommOptions{});
        std::mutex mutex;
        std::vector<std::thread> threads;
        for (int rank = 0; rank < setup.ranks; ++rank) {
            threads.emplace_back(
                [&, rank] { run_rank(setup, *world[static_cast<std::size_t>(rank)], steps, mutex); });
        }
        for (std::thread& thread : threads) thread.join();
        return steps;
    }

    static void run_rank(const RunSetup& setup, comm::Communicator& comm, std::vector<StepRecord>& steps,
                         std::mutex& mutex) {
        const layers::ModelGraph graph = setup.graph();
        const Backend backend = make_backend(setup.device, 1);
        const Selection selection(graph, backend.providers, SelectionOptions{});
        ParallelSpec spec;
        spec.data = setup.ranks;
        spec.batch = setup.batch;
        spec.microbatches = setup.microbatches;
        spec.bucket_bytes = Bytes(2048);
        spec.algorithm = setup.algorithm;
        spec.canonical = setup.canonical;
        spec.virtual_shards = setup.virtual_shards;
        const ParallelPlan plan(selection, spec, setup.ranks, info_.split("train").samples);
        verify(plan);
        OptimizerSpec optimizer;
        optimizer.momentum = 0.9;
        ModelState state(graph, plan.buckets(), optimizer, backend.device->memory());
        state.initialise(3);
        StepGuard guard(NanPolicy::stop);
        ExecutorParts parts;
        parts.seed = 5;
        parts.guard = &guard;
        parts.plan = &plan;
        parts.rank = comm.rank();
        parts.state = &state;
        parts.device = backend.device.get();
        parts.comm = &comm;
        Executor executor(parts);
        io::LoaderOptions options;
        options.seed = 11;
        io::BatchLoader loader(info_, plan.shards(), plan.owned(comm.rank()), io::Cursor{}, options, nullptr);
        for (std::int64_t s = 0; s < setup.steps; ++s) {
            const io::Batch batch = loader.next(Deadline::in_seconds(60));
            const bool last = plan.shards().step_samples(batch.cursor().step_in_epoch) < spec.batch;
            StepInputs inputs;
            inputs.kind = last ? StepKind::short_last : StepKind::full;
            inputs.batch = {batch.x(), std::as_bytes(batch.y()), batch.samples()};
            inputs.step = s;
            inputs.lr = setup.lr;
            inputs.update = s + 1;
            inputs.deadline = Deadline::in_seconds(60);
            const StepReport report = executor.step(inputs);
            const std::lock_guard lock(mutex);
            StepRecord& record = steps[static_cast<std::size_t>(s)];
            record.ids.insert(record.ids.end(), batch.sample_ids().begin(), batch.sample_ids().end());
            record.x.insert(record.x.end(), batch.x().begin(), batch.x().end());
            record.y.insert(record.y.end(), batch.y().begin(), batch.y().end());
            if (comm.rank() != 0) continue;
            record.gradients.assign(executor.gradients().begin(), executor.gradients().end());
            record.loss_sum = report.loss_sum;
            record.samples = report.samples;
            record.state_sha256 = state.state_sha256("");
            for (layers::BufferId b = 0; b < std::min<int>(2, static_cast<int>(graph.buffers().size()));
                 ++b) {
                record.running.insert(record.running.end(), state.buffer(b).begin(), state.buffer(b).end());
            }
        }
        comm.finish(Deadline::in_seconds(60));
    }

    /// The gradient arena of one fp64 pass over these samples, at the initial weights.
    static std::vector<double> reference_gradients(const StepRecord& record, const GradBuckets& buckets,
                                                   double& loss) {
        const layers::ModelGraph graph = test::tiny_convnet();
        layers::reference::Model model(graph);
        for (std::size_t p = 0; p < graph.params().size(); ++p) {
            std::vector<float> start(static_cast<std::size_t>(graph.params()[p].shape.elements().value));
            layers::initial_values(graph.params()[p], 3, 0, start);
            std::copy(start.begin(), start.end(), model.param(static_cast<layers::ParamId>(p)).begin());
        }
        const std::vector<double> x(record.x.begin(), record.x.end());
        const std::vector<double> y(record.y.begin(), record.y.end());
        model.forward(static_cast<std::int64_t>(y.size()), x, y);
        model.backward();
        loss = model.loss_sum();
        std::vector<double> arena(static_cast<std::size_t>(buckets.arena_elements().value), 0.0);
        for (std::size_t p = 0; p < graph.params().size(); ++p) {
            const auto gradient = model.param_gradient(static_cast<layers::ParamId>(p));
            std::copy(gradient.begin(), gradient.end(),
                      arena.begin() + buckets.place(static_cast<layers::ParamId>(p)).offset);
        }
        return arena;
    }

    static void expect_reference_gradients(const RunSetup& setup) {
        SCOPED_TRACE(testing::Message() << setup.ranks << " ranks, batch " << setup.batch << ", "
                                        << setup.microbatches << " micro-batches, " << setup.device);
        const GradBuckets buckets(test::tiny_convnet_fused(), Bytes(2048));
        for (const StepRecord& record : run(setup)) {
            double loss = 0;
            const std::vector<double> truth = reference_gradients(record, buckets, loss);
            EXPECT_EQ(record.samples, static_cast<std::int64_t>(record.ids.size()));
            EXPECT_NEAR(record.loss_sum, loss, 1e-5 * loss);
            double largest = 0;
            double deviation = 0;
            for (std::int64_t i = 0; i < buckets.status_offset(); ++i) {
                const auto at = static_cast<std::size_t>(i);
                largest = std::max(largest, std::abs(truth[at]));
                deviation =
                    std::max(deviation, std::abs(static_cast<double>(record.gradients[at]) - truth[at]));
            }
            EXPECT_LT(deviation, 2e-6 * largest);
        }
    }

    static std::unique_ptr<test::TemporaryFolder> folder_;
    static io::DataSetInfo info_;
};

std::unique_ptr<test::TemporaryFolder> TrainingTest::folder_;
io::DataSetInfo TrainingTest::info_;

TEST_F(TrainingTest, GradientsAreThoseOfOnePassOverTheSameSamples) {
    for (int ranks : {1, 2, 3, 4})
        expect_reference_gradients({.ranks = ranks, .batch = 37, .steps = 6});  // 208 samples: 5 x 37 + 23
    expect_reference_gradients({.ranks = 5, .batch = 3, .steps = 4});           // two ranks have no sample
    expect_reference_gradients({.ranks = 2, .batch = 500, .steps = 2});         // one short step an epoch
}

TEST_F(TrainingTest, MicrobatchesGiveTheSameGradients) {
    expect_reference_gradients({.ranks = 2, .batch = 37, .microbatches = 4, .steps = 6});
}

TEST_F(TrainingTest, OneDnnGivesTheSameGradients) {
    expect_reference_gradients({.ranks = 3, .batch = 37, .steps = 6, .device = "cpu"});
}

TEST_F(TrainingTest, EverySampleOnceAnEpochOnAnyRankCount) {
    std::vector<std::vector<std::int64_t>> first;
    for (int ranks : {1, 2, 3, 5, 8}) {
        std::set<std::int64_t> seen;
        std::vector<std::vector<std::int64_t>> by_step;
        for (StepRecord& record : run({.ranks = ranks, .batch = 37, .steps = 6})) {
            std::sort(record.ids.begin(), record.ids.end());
            seen.insert(record.ids.begin(), record.ids.end());
            by_step.push_back(record.ids);
        }
        EXPECT_EQ(seen.size(), 208u) << ranks << " ranks";
        if (first.empty()) first = by_step;
        EXPECT_EQ(by_step, first) << ranks << " ranks: the steps have other samples";
    }
}

TEST_F(TrainingTest, LossCurveDoesNotDependOnTheRankCount) {
    std::vector<double> first;
    for (int ranks : {1, 2, 3, 4}) {
        for (comm::Algorithm algorithm : {comm::Algorithm::ring, comm::Algorithm::halving_doubling}) {
            std::vector<double> losses;
            for (const StepRecord& record :
                 run({.ranks = ranks, .batch = 37, .steps = 18, .lr = 0.05, .algorithm = algorithm})) {
                losses.push_back(record.loss_sum / static_cast<double>(record.samples));
            }
            if (first.empty()) first = losses;
            for (std::size_t s = 0; s < losses.size(); ++s)
                EXPECT_NEAR(losses[s], first[s], 1e-4 * first[s]) << ranks << " ranks, step " << s;
        }
    }
    EXPECT_LT(first.back(), 0.7 * first.front()) << "there is something to learn in the samples";
}

TEST_F(TrainingTest, CanonicalGradientsAreThoseOfOnePassToo) {
    expect_reference_gradients({.ranks = 3, .batch = 37, .steps = 6, .canonical = true});
}

/// Parameters after each step: batch 37 of 208 samples, so that every sixth step is short.
std::vector<std::string> hashes(const std::vector<StepRecord>& steps) {
    std::vector<std::string> list;
    for (const StepRecord& record : steps) list.push_back(record.state_sha256);
    return list;
}

TEST_F(TrainingTest, CanonicalBitsDoNotDependOnTheRankCount) {
    for (const char* device : {"reference", "cpu"}) {
        for (std::int64_t leaves : {8, 13}) {
            std::vector<std::string> first;
            for (int ranks : {1, 2, 3, 4, 5, 8}) {
                const auto mine = hashes(run({.ranks = ranks,
                                              .batch = 37,
                                              .steps = 14,
                                              .lr = 0.05,
                                              .device = device,
                                              .canonical = true,
                                              .virtual_shards = leaves}));
                if (first.empty()) first = mine;
                EXPECT_EQ(mine, first) << device << ", " << leaves << " leaves, " << ranks << " ranks";
            }
        }
    }
}

TEST_F(TrainingTest, CanonicalBitsWithBatchNormResidualAndDropout) {
    for (const char* device : {"reference", "cpu"}) {
        std::vector<std::string> first;
        for (int ranks : {1, 2, 3, 4, 5, 8}) {
            const auto mine = hashes(run({.ranks = ranks,
                                          .batch = 37,
                                          .steps = 8,
                                          .lr = 0.05,
                                          .device = device,
                                          .canonical = true,
                                          .graph = test::tiny_residual}));
            if (first.empty()) first = mine;
            EXPECT_EQ(mine, first) << device << ", " << ranks << " ranks";
        }
    }
}

TEST_F(TrainingTest, RunningStatisticsPoolWhateverTheGrouping) {
    // The first batch norm sees the same values however a step is cut, so the pooled mean is that of the
    // whole batch. The pooled variance is nearly so: each group's is unbiased by itself.
    const auto whole =
        run({.ranks = 1, .batch = 37, .steps = 1, .graph = test::tiny_residual}).front().running;
    ASSERT_EQ(whole.size(), 12u);
    const RunSetup cut[] = {
        {.ranks = 1, .batch = 37, .microbatches = 3, .steps = 1, .graph = test::tiny_residual},
        {.ranks = 4,
         .batch = 37,
         .microbatches = 2,
         .steps = 1,
         .device = "cpu",
         .graph = test::tiny_residual},
        {.ranks = 3, .batch = 37, .steps = 1, .canonical = true, .graph = test::tiny_residual},
    };
    for (const RunSetup& setup : cut) {
        const auto mine = run(setup).front().running;
        for (std::size_t c = 0; c < 6; ++c) {
            EXPECT_NEAR(mine[c], whole[c], 1e-6) << "running mean";
            EXPECT_NEAR(mine[6 + c], whole[6 + c], 0.01 * whole[6 + c]) << "running variance";
        }
    }
}

TEST_F(TrainingTest, CanonicalWithMoreLeavesThanSamples) {
    // Batch 5 in 8 leaves: three leaves of every step are empty, and some ranks have no sample at all.
    const auto one = hashes(run({.ranks = 1, .batch = 5, .steps = 9, .lr = 0.05, .canonical = true}));
    for (int ranks : {2, 5, 8}) {
        EXPECT_EQ(hashes(run({.ranks = ranks, .batch = 5, .steps = 9, .lr = 0.05, .canonical = true})), one)
            << ranks << " ranks";
    }
}

TEST_F(TrainingTest, TheTreeIsPartOfTheResult) {
    // Other leaves, other bits: what says that the comparisons above can fail.
    const auto eight = hashes(
        run({.ranks = 1, .batch = 37, .steps = 3, .lr = 0.05, .canonical = true, .virtual_shards = 8}));
    const auto seven = hashes(
        run({.ranks = 1, .batch = 37, .steps = 3, .lr = 0.05, .canonical = true, .virtual_shards = 7}));
    EXPECT_NE(eight, seven);
}

}  // namespace
}  // namespace trireme
