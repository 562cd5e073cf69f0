// The steps of a rank, one after the other: parameters, data and executor, and nothing of what a run has
// around them (saves, evaluations, records). `train` and `bench` both step through it.
#pragma once

#include <optional>

#include "comm/communicator.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/core/trace_sink.hpp"
#include "runtime/exec/executor.hpp"
#include "runtime/optim/lr_schedule.hpp"

namespace trireme::jobs {

/// What one step is asked beside its samples.
struct StepWishes {
    bool stop = false;        ///< this rank was asked to save and end
    bool save = false;        ///< this rank's clock asks for a checkpoint
    double deadline = 0;      ///< seconds, of the sums
    double data_delay = 0;    ///< fault drills: seconds by which this rank's batch comes later
    double kernel_delay = 0;  ///< fault drills: seconds by which this rank's kernels take longer
};

class TrainingSteps {
  public:
    /// `job` and `comm` must outlive it; `trace` may be null. Parameters are not initialised yet.
    TrainingSteps(const PlannedJob& job, comm::Communicator& comm, TraceSink* trace);
    TrainingSteps(const TrainingSteps&) = delete;
    TrainingSteps& operator=(const TrainingSteps&) = delete;
    ~TrainingSteps() { close_data(); }

    [[nodiscard]] ModelState& state() { return state_; }
    [[nodiscard]] StepGuard& guard() { return guard_; }
    [[nodiscard]] Executor& executor() { return executor_; }
    [[nodiscard]] double learning_rate(std::int64_t step) const { return schedule_.at(step); }

    /// What a device judges steps by, at a position.
    [[nodiscard]] static StepState state_at(const Position& position, const LossScaling& scaling);
    /// Counts and scales as they were at `position`, which came from a checkpoint.
    void resume(const Position& position);
    /// Starts to read the training samples from `first` on.
    void open_data(const io::Cursor& first);
    void close_data();
    /// Launches the step at `position`: its batch, forward, backward, sums, update. Steps follow each other
    /// from where the data was opened. On an asynchronous device its update may be under way afterwards; the
    /// step before is over (Executor::launch). Throws what the loader and the executor throw.
    StepWished launch(const Position& position, const StepWishes& wishes);
    /// Waits until all that was launched is over.
    void settle() { executor_.settle(); }
    /// Of a step that is over, the oldest first and each once.
    [[nodiscard]] std::optional<StepReport> take_report();
    /// Moves the position behind a step; true when that ended an epoch.
    bool advance(Position& position) const;
    /// Counts and scales behind the last step whose report was taken.
    void mark(Position& position) const;

  private:
    [[nodiscard]] StepKind kind_of(const io::Cursor& cursor) const;
    [[nodiscard]] std::optional<NextBatch> look_ahead();

    const PlannedJob& job_;
    comm::Communicator& comm_;
    TraceSink* trace_;
    ModelState state_;
    StepGuard guard_;
    Executor executor_;
    LrSchedule schedule_;
    std::optional<LossScale> scale_;  ///< behind the last step; where it is dynamic
    std::optional<io::BatchLoader> loader_;
    std::optional<io::Batch> next_;  ///< of the step to come: on its way to the device
};

}  // namespace trireme::jobs
