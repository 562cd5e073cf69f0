// JobSpec: what the user asked, validated. Made from a job file and the command line; every mistake in them
// is told at once, with file, line, key, value and rule.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "jobs/models/model_spec.hpp"
#include "jobs/spec/settings.hpp"
#include "runtime/numerics.hpp"
#include "runtime/optim/lr_schedule.hpp"
#include "runtime/optim/optimizer.hpp"
#include "runtime/optim/step_guard.hpp"
#include "runtime/optim/step_state.hpp"
#include "runtime/plan/sum_path.hpp"
#include "runtime/telemetry/progress.hpp"

namespace trireme::jobs {

struct JobSpec {
    struct Job {
        std::string name;
        std::filesystem::path output;
        std::uint64_t seed = 0;
        std::optional<std::int64_t> epochs;
        std::optional<std::int64_t> steps;
        std::optional<std::int64_t> stop_at;
        std::string device;
        bool share_device = false;            ///< ranks may take one GPU together
        bool canonical = false;               ///< same bits on any rank count
        std::optional<std::int64_t> threads;  ///< empty: auto
        std::optional<Bytes> memory_limit;
        Bytes workspace_cap{};
        std::optional<std::int64_t> early_stop;  ///< evaluations without gain
        NanPolicy nan = NanPolicy::stop;
        std::optional<std::int64_t> hash_every;  ///< steps between comparisons of the parameters of all ranks
    } job;

    struct Data {
        std::filesystem::path path;
        std::int64_t batch = 0;
        std::int64_t eval_batch = 0;
        io::LoaderOptions loader;
    } data;

    ModelSpec model;
    std::filesystem::path init_from;  ///< checkpoint to fine-tune from; empty: initial values
    OptimizerSpec optimizer;
    LrSchedule schedule;  ///< its horizon is set once the data set is known

    struct Parallel {
        std::optional<std::int64_t> data;
        std::int64_t microbatches = 1;
        std::int64_t virtual_shards = 0;  ///< 0: default
        Bytes bucket_bytes{};             ///< 0: default
        comm::Algorithm algorithm = comm::Algorithm::automatic;
        SumPath path = SumPath::automatic;  ///< pinned by the same key
        std::int64_t recompute = 1;         ///< segments; 0: chosen by the plan
    } parallel;

    /// What activations are stored as and products formed of; parameters and sums are fp32 always.
    struct Precision {
        std::string compute = "fp32";  ///< as the job says it
        DType storage = DType::f32;
        bool tf32 = false;
        LossScaling loss_scale;
    } precision;
    [[nodiscard]] Numerics numerics() const { return {precision.storage, precision.tf32, job.canonical}; }

    struct Deadlines {
        double join = 0;
        double data = 0;
        std::optional<double> step;
        double checkpoint = 0;
    } deadline;

    struct Checkpoint {
        std::optional<std::int64_t> every_steps;
        std::optional<std::int64_t> every_minutes;  ///< neither: every epoch
        std::int64_t keep = 3;
        std::int64_t keep_every = 0;  ///< steps; 0: none
        std::string best;             ///< "val_loss" or "val_accuracy"; empty: none
        std::string resume;
        bool async = true;
    } checkpoint;

    struct Telemetry {
        std::int64_t log_every = 50;
        std::int64_t eval_every = 1;
        Progress::Mode progress = Progress::Mode::automatic;
        std::int64_t trace_steps = 0;
    } telemetry;

    /// All settings in effect, by key, defaults included.
    std::map<std::string, std::string> effective;

    /// The complete job file that gives this job again.
    [[nodiscard]] std::string canonical_text() const;
};

/// Reads `file` (INI) and lays `overrides` (from the command line) over it. Throws ConfigError with every
/// mistake.
[[nodiscard]] JobSpec load_job(const std::filesystem::path& file,
                               const std::map<std::string, Setting>& overrides);

}  // namespace trireme::jobs
