// Threads as ranks that train: every rank a thread with a model, a loader and an executor of its own, and
// what each step left.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include <gtest/gtest.h>

#include "comm/communicator.hpp"
#include "io/import/text_import.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "layers/init.hpp"
#include "layers/reference/reference.hpp"
#include "runtime/available_backends.hpp"
#include "runtime/core/philox.hpp"
#include "runtime/exec/executor.hpp"
#include "tests/support/tiny_graphs.hpp"
#include "tests/support/tiny_source.hpp"

namespace trireme {

struct StepRecord {
    std::vector<std::int64_t> ids;  ///< samples of all ranks
    std::vector<float> x;
    std::vector<std::int32_t> y;
    std::vector<float> gradients;  ///< the bucket arena after the step, of rank 0
    double loss_sum = 0;
    std::int64_t samples = 0;
    std::string state_sha256;  ///< after the step, of rank 0
    int told_to_save = 0;      ///< ranks to which the step brought the wish for a checkpoint
    int told_to_stop = 0;      ///< and the wish to stop
    bool skipped = false;
    float loss_scale = 1;              ///< of the next step
    std::vector<float> running;        ///< mean and variance of the first batch norm, if there is one
    std::vector<LaunchTime> launches;  ///< of rank 0, where they are timed
};

struct RunSetup {
    int ranks = 1;
    std::int64_t batch = 37;
    std::int64_t microbatches = 1;
    std::int64_t steps = 0;
    double lr = 0;
    std::string device = "reference";
    comm::Algorithm algorithm = comm::Algorithm::automatic;
    SumPath path = SumPath::automatic;
    bool canonical = false;
    std::int64_t recompute = 1;
    std::int64_t virtual_shards = 0;
    layers::ModelGraph (*graph)() = test::tiny_convnet_fused;
    /// The rank whose clock asks for a checkpoint in step 1, and which is asked to stop in step 2.
    int wisher = -1;
    bool text = false;  ///< windows of a text instead of images
    OptimizerSpec optimizer = {.momentum = 0.9};
    LossScaling loss_scaling = {};
    NanPolicy nan = NanPolicy::stop;
    /// The step in which the first image of rank 0 has a value that is no number.
    std::int64_t spoilt_step = -1;
    bool capture = true;  ///< steps are replayed where the device can
    bool ahead = true;    ///< a step's samples are given while the one before it computes
    /// Steps follow each other without a wait, as in a job; the state is looked at behind the last one alone.
    bool keeps_going = false;
    bool times_launches = false;  ///< of an asynchronous device; steps must rest
    /// A back end of the test's own for a rank; empty: that of `device`.
    std::function<Backend(int rank)> backend = {};
    /// Ranks over transports of the test's own; empty: those of threads.
    std::function<std::vector<std::unique_ptr<comm::Communicator>>(int ranks)> world = {};
    /// Hears how rank 0's gradients travel.
    std::function<void(const std::string&)> told_of_sums = {};
};

class TrainingTest : public testing::Test {
  protected:
    static void SetUpTestSuite() {
        folder_ = std::make_unique<test::TemporaryFolder>();
        info_ = test::write_tiny_data_set(*folder_ / "set", {100, 101, 7, 0});
        std::ofstream(*folder_ / "text.txt") << sentences();
        text_ = io::with_windows(io::import_text({*folder_ / "text.txt", "", ""}, *folder_ / "text", {}), 16);
    }
    static void TearDownTestSuite() { folder_.reset(); }

    /// 20,000 bytes with something to learn in them: letters follow from the letters before.
    static std::string sentences() {
        const RandomStream dice(1, "sentences");
        std::string text;
        for (std::uint64_t i = 0; text.size() < 20'000; ++i) {
            static constexpr std::array words{"the oars ", "a wave ",   "rises. ",
                                              "falls, ",   "beat the ", "sea "};
            text += words[dice.below(i, words.size())];
        }
        return text;
    }

    /// Every rank a thread; returns what each step did. Throws what the first rank to fail has thrown.
    static std::vector<StepRecord> run(const RunSetup& setup) {
        std::vector<StepRecord> steps(static_cast<std::size_t>(setup.steps));
        auto world =
            setup.world ? setup.world(setup.ranks) : comm::in_process_world(setup.ranks, comm::CommOptions{});
        std::mutex mutex;
        std::exception_ptr failure;
        std::vector<std::thread> threads;
        for (int rank = 0; rank < setup.ranks; ++rank) {
            threads.emplace_back([&, rank] {
                try {
                    run_rank(setup, *world[static_cast<std::size_t>(rank)], steps, mutex);
                } catch (...) {
                    const std::lock_guard lock(mutex);
                    if (!failure) failure = std::current_exception();
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
        if (failure) std::rethrow_exception(failure);
        return steps;
    }

    /// The state after each step.
    static std::vector<std::string> hashes(const std::vector<StepRecord>& steps) {
        std::vector<std::string> list;
        for (const StepRecord& record : steps) list.push_back(record.state_sha256);
        return list;
    }

    /// It is the same on all these numbers of ranks.
    static void expect_same_bits(RunSetup setup, const std::vector<int>& rank_counts) {
        std::vector<std::string> first;
        for (const int ranks : rank_counts) {
            setup.ranks = ranks;
            const auto mine = hashes(run(setup));
            if (first.empty()) first = mine;
            EXPECT_EQ(mine, first) << setup.device << ", " << setup.virtual_shards << " leaves, " << ranks
                                   << " ranks";
        }
    }

    static void run_rank(const RunSetup& setup, comm::Communicator& comm, std::vector<StepRecord>& steps,
                         std::mutex& mutex) {
        const layers::ModelGraph graph = setup.graph();
        const io::DataSetInfo& data = setup.text ? text_ : info_;
        const Backend backend = setup.backend ? setup.backend(comm.rank()) : make_backend(setup.device, 1);
        const Selection selection(graph, backend.providers, SelectionOptions{});
        ParallelSpec spec;
        spec.data = setup.ranks;
        spec.batch = setup.batch;
        spec.microbatches = setup.microbatches;
        spec.bucket_bytes = Bytes(2048);
        spec.algorithm = setup.algorithm;
        spec.path = setup.path;
        spec.canonical = setup.canonical;
        spec.recompute = setup.recompute;
        spec.virtual_shards = setup.virtual_shards;
        const ParallelPlan plan(selection, spec, setup.ranks, data.split("train").samples);
        verify(plan);
        ModelState state(graph, plan.buckets(), setup.optimizer, *backend.device);
        state.initialise(3);
        StepGuard guard(setup.nan);
        ExecutorParts parts;
        parts.seed = 5;
        parts.loss_scaling = setup.loss_scaling;
        parts.guard = &guard;
        parts.plan = &plan;
        parts.rank = comm.rank();
        parts.state = &state;
        parts.device = backend.device.get();
        parts.step_kernels = backend.step_kernels;
        parts.comm = &comm;
        parts.capture = setup.capture;
        io::LoaderOptions options;
        options.seed = 11;
        io::BatchLoader loader(data, plan.shards(), plan.owned(comm.rank()), io::Cursor{}, options, nullptr);
        const auto as_given = [&](const io::Batch& batch) -> NextBatch {
            const bool last = plan.shards().step_samples(batch.cursor().step_in_epoch) < spec.batch;
            return {{batch.x_bytes(), batch.y_bytes(), batch.samples()},
                    last ? StepKind::short_last : StepKind::full};
        };
        std::optional<io::Batch> ahead;
        Executor executor(parts);
        if (setup.times_launches) executor.time_launches();
        if (setup.told_of_sums && comm.rank() == 0) setup.told_of_sums(executor.sums_text());
        for (std::int64_t s = 0; s < setup.steps; ++s) {
            const io::Batch batch = ahead ? std::move(*ahead) : loader.next(Deadline::in_seconds(60));
            ahead.reset();
            StepInputs inputs;
            inputs.kind = as_given(batch).kind;
            inputs.batch = as_given(batch).batch;
            inputs.next = [&]() -> std::optional<NextBatch> {
                if (!setup.ahead || s + 1 == setup.steps) return std::nullopt;
                return as_given(ahead.emplace(loader.next(Deadline::in_seconds(60))));
            };
            std::vector<float> spoilt;
            if (s == setup.spoilt_step && comm.rank() == 0) {
                spoilt.assign(batch.x().begin(), batch.x().end());
                spoilt.front() = std::numeric_limits<float>::quiet_NaN();
                inputs.batch.x = std::as_bytes(std::span(spoilt));
            }
            inputs.step = s;
            inputs.lr = setup.lr;
            inputs.deadline = Deadline::in_seconds(60);
            inputs.save_wish = s == 1 && comm.rank() == setup.wisher;
            inputs.stop_wish = s == 2 && comm.rank() == setup.wisher;
            const StepWished wished = executor.launch(inputs);
            const bool rests = !setup.keeps_going || s + 1 == setup.steps;
            // Whoever reads the state need not have settled.
            const std::string hash = rests && comm.rank() == 0 ? state.state_sha256("") : "";
            if (rests) executor.settle();
            const std::lock_guard lock(mutex);
            while (const std::optional<StepReport> report = executor.take_report()) {
                if (comm.rank() == 0) keep(*report, steps[static_cast<std::size_t>(report->step)]);
            }
            StepRecord& record = steps[static_cast<std::size_t>(s)];
            record.told_to_save += wished.save ? 1 : 0;
            record.told_to_stop += wished.stop ? 1 : 0;
            record.ids.insert(record.ids.end(), batch.sample_ids().begin(), batch.sample_ids().end());
            record.x.insert(record.x.end(), batch.x().begin(), batch.x().end());
            record.y.insert(record.y.end(), batch.y().begin(), batch.y().end());
            if (comm.rank() != 0) continue;
            record.gradients.assign(executor.gradients().begin(), executor.gradients().end());
            record.state_sha256 = hash;
            if (!rests) continue;
            if (setup.times_launches) record.launches = executor.launch_times();
            for (layers::BufferId b = 0; b < std::min<int>(2, static_cast<int>(graph.buffers().size()));
                 ++b) {
                record.running.insert(record.running.end(), state.buffer(b).begin(), state.buffer(b).end());
            }
        }
        comm.finish(Deadline::in_seconds(60));
    }

    static void keep(const StepReport& report, StepRecord& record) {
        record.skipped = report.skipped;
        record.loss_scale = report.loss_scale;
        record.loss_sum = report.loss_sum;
        record.samples = report.samples;
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

    inline static std::unique_ptr<test::TemporaryFolder> folder_;
    inline static io::DataSetInfo info_;
    inline static io::DataSetInfo text_;
};

}  // namespace trireme
