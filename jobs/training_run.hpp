// A training run of one rank: executor, data, state and telemetry, and the loop that joins them.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "comm/communicator.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/fault_drill.hpp"
#include "jobs/planned_job.hpp"
#include "jobs/run_folder.hpp"
#include "jobs/stop_signal.hpp"
#include "jobs/training_steps.hpp"
#include "runtime/optim/early_stop.hpp"
#include "runtime/telemetry/progress.hpp"
#include "runtime/telemetry/rank_split.hpp"
#include "runtime/telemetry/trace_writer.hpp"

namespace trireme::jobs {

class TrainingRun {
  public:
    /// `job` and `comm` must outlive the run.
    TrainingRun(const PlannedJob& job, comm::Communicator& comm);
    ~TrainingRun();
    TrainingRun(const TrainingRun&) = delete;
    TrainingRun& operator=(const TrainingRun&) = delete;

    /// Restores or initialises the state, trains to the horizon or to `job.stop_at`, saves, evaluates, and
    /// writes the summary. Returns the exit code: 0, or exit_code_requeue when a signal to any rank stopped
    /// the job after saving.
    [[nodiscard]] int run();

  private:
    void restore_or_initialise();
    void train();
    [[nodiscard]] StepWishes wishes() const;
    void after_launch(const StepWished& wished);
    void hear_of_steps();
    void catch_up();
    void after_step(const StepReport& report);
    void compare_replicas();
    void end_of_epoch();
    void log_step(const StepReport& report);
    void evaluate_val();
    void judge_progress();
    void save();
    void stood_still(double seconds);
    [[nodiscard]] Metrics metrics_here() const;
    void set_step_deadline();
    void align_trace();
    void write_trace();
    void write_summary(const std::string& status);
    [[nodiscard]] std::int64_t last_step() const;
    [[nodiscard]] double epoch_at(std::int64_t step) const;

    const PlannedJob& job_;
    comm::Communicator& comm_;
    std::optional<RunFolder> folder_;  ///< rank 0
    Progress progress_;
    TraceWriter trace_;
    TrainingSteps steps_;
    ModelState& state_;
    StepGuard& guard_;
    FaultDrill drill_;
    Position position_;
    StopSignal stop_signal_;
    std::optional<Checkpointer> saver_;  ///< once the state is there
    std::optional<Evaluation> val_;
    std::int64_t val_step_ = -1;  ///< at which val_ was made
    bool stopped_ = false;        ///< by a signal to any rank
    std::optional<EarlyStop> early_stop_;
    bool ended_early_ = false;
    double step_deadline_;
    std::vector<double> step_seconds_;
    StepTimes split_;          ///< of all steps
    double loop_seconds_ = 0;  ///< of the training loop, evaluations left out
    double evaluation_seconds_ = 0;
    std::vector<RankSplit> rank_splits_;
    std::int64_t samples_ = 0;
    double last_loss_ = 0;
    double loss_since_log_ = 0;
    std::int64_t samples_since_log_ = 0;
    std::int64_t steps_since_log_ = 0;
    StepTimes split_since_log_;  ///< of rank 0's next record
    std::chrono::steady_clock::time_point begin_;
};

}  // namespace trireme::jobs
