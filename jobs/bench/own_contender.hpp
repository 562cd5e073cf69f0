// Our own training steps as a contender: as the job says, on its data, in memory. Nothing is saved and no run
// folder is made.
#pragma once

#include "jobs/bench/contender.hpp"
#include "jobs/bench/op_times.hpp"
#include "jobs/training_steps.hpp"

namespace trireme::jobs {

/// Whether other contenders live in this process too.
enum class InProcess { alone, shared };

class OwnContender final : public Contender {
  public:
    /// `job` and `comm` must outlive it. Initialises the parameters and starts to read data.
    OwnContender(std::string name, const PlannedJob& job, comm::Communicator& comm, InProcess process);

    [[nodiscard]] const std::string& name() const override { return name_; }
    [[nodiscard]] Turn take_turn(std::int64_t steps) override;
    [[nodiscard]] std::int64_t batch() const override { return job_.spec().data.batch; }
    [[nodiscard]] std::optional<Bytes> peak_memory() override;

    /// Full steps in which the time of each instruction is taken too; not part of any turn.
    [[nodiscard]] const OpTimes& time_instructions(std::int64_t steps);

  private:
    void launch();
    /// A step from its launch to its end.
    void step();

    std::string name_;
    const PlannedJob& job_;
    InProcess process_;
    OpTimes op_times_;
    TrainingSteps steps_;
    Position position_;
};

}  // namespace trireme::jobs
