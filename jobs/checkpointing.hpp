// Saving and restoring a training run through io's checkpoints.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "io/checkpoint/async_saver.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/exec/model_state.hpp"

namespace trireme::jobs {

/// A dynamic loss scale between two steps.
struct LossScale {
    float value = 1;
    std::int64_t good_in_a_row = 0;  ///< steps since it last changed
};

/// Where a run stands: all that goes on from step to step beside tensors.
struct Position {
    std::int64_t step = 0;          ///< steps done
    io::Cursor cursor;              ///< the next step's samples
    std::int64_t skipped = 0;       ///< of the steps, those thrown away because they were not finite
    std::int64_t without_gain = 0;  ///< evaluations since the best one
    double best_val_loss = std::numeric_limits<double>::infinity();
    std::optional<LossScale> scale;  ///< where the job's is dynamic
    /// "step 7 epoch 2 step_in_epoch 1 skipped 0", and a dynamic loss scale: what the state hash covers.
    [[nodiscard]] std::string str() const;
};

/// What an evaluation at a position said: "val_loss", "val_accuracy".
using Metrics = std::map<std::string, double>;

/// Host memory that the rank that saves (rank 0) takes for the copy of its state: parameters, buffers and
/// optimizer state, each tensor from a multiple of 64 bytes on.
[[nodiscard]] Bytes checkpoint_copy_bytes(const layers::ModelGraph& graph, const OptimizerSpec& optimizer);

/// When `checkpoint.every = Nm` asks for the next save. Only rank 0 has one: clocks of ranks differ, so it
/// tells the others with the next step's sums.
class SaveClock {
  public:
    using Time = std::chrono::steady_clock::time_point;
    SaveClock(std::chrono::minutes interval, Time start) : interval_(interval), last_(start) {}
    [[nodiscard]] bool is_due(Time now) const { return now - last_ >= interval_; }
    /// The next interval begins.
    void saved(Time now) { last_ = now; }

  private:
    std::chrono::minutes interval_;
    Time last_;
};

/// The saves of one run. All ranks have one and call it alike; state is replicated, so rank 0 alone copies
/// and writes.
class Checkpointer {
  public:
    /// `state` is at step `start`. All must outlive this object.
    Checkpointer(const PlannedJob& job, const ModelState& state, comm::Communicator& comm,
                 std::int64_t start);

    /// Saves the state at `position`, unless it is saved already. With `checkpoint.async` it returns once the
    /// state is copied, else once it is DONE. Throws the error of an earlier save.
    void save(const Position& position, const Metrics& metrics);
    /// Throws the error of a save that has ended with one; call it once a step. Never waits.
    void check();
    /// Waits until everything is on the medium.
    void finish();

    /// Whether this rank's clock asks for a save: a wish, which the next step brings to all ranks.
    [[nodiscard]] bool wishes() const { return clock_ && clock_->is_due(Clock::now()); }
    /// Whether the job asks for a save at this position: `every` (steps, epoch, or a rank's wish that came
    /// with the step), or a metric that beats all that this run has saved. The same on all ranks.
    [[nodiscard]] bool is_due(const Position& position, const Metrics& metrics, bool wished) const;
    /// Seconds for which training stood still for saves.
    [[nodiscard]] double seconds_stopped() const { return seconds_; }

  private:
    using Clock = std::chrono::steady_clock;
    [[nodiscard]] io::SaveRequest request(const Position& position, const Metrics& metrics);
    [[nodiscard]] std::filesystem::path folder() const { return job_.spec().job.output / "checkpoints"; }
    [[nodiscard]] std::optional<double> metric_in(const Metrics& metrics) const;

    const PlannedJob& job_;
    const ModelState& state_;
    comm::Communicator& comm_;
    std::optional<io::AsyncSaver> saver_;  ///< rank 0
    std::int64_t start_;
    std::int64_t saved_step_;
    bool first_ = true;
    std::optional<SaveClock> clock_;  ///< rank 0, where the job names minutes
    std::optional<double> best_;      ///< of what this run has saved; the same on all ranks
    double seconds_ = 0;
};

/// The checkpoint to go on from, by the job's `checkpoint.resume`; empty: start anew. Rank 0 looks, verifies
/// and decides for all; it warns of what it passes over. Throws DataError where a named one is damaged, or
/// all are.
[[nodiscard]] std::optional<std::filesystem::path> agree_on_checkpoint(const JobSpec& spec,
                                                                       comm::Communicator& comm);
/// The checkpoint that a user named for another purpose (evaluation, fine-tuning), decided by rank 0.
[[nodiscard]] std::filesystem::path agree_on_named(const std::filesystem::path& named, double seconds,
                                                   comm::Communicator& comm);

/// Fills parameters, buffers and optimizer state; returns the position. Throws ConfigError where the
/// checkpoint belongs to another job (names, shapes, seed, batch or virtual shards differ), DataError where
/// it is damaged.
[[nodiscard]] Position restore_checkpoint(const PlannedJob& job, ModelState& state,
                                          const std::filesystem::path& checkpoint);

/// Fills parameters (their moving average where the job kept one) and running statistics: for evaluation.
void restore_for_evaluation(ModelState& state, const std::filesystem::path& checkpoint);

/// Fine-tuning: fills every parameter and buffer that the checkpoint has under the same name and shape, and
/// says in one line a tensor which it left as it was, and why. Throws ConfigError when nothing fits.
[[nodiscard]] std::vector<std::string> initialise_from(ModelState& state,
                                                       const std::filesystem::path& checkpoint);

}  // namespace trireme::jobs
