#include "jobs/bench/own_contender.hpp"

#include "runtime/telemetry/process_memory.hpp"

namespace trireme::jobs {
namespace {

constexpr double step_deadline = 1800;  // seconds; the first step touches all memory

}  // namespace

OwnContender::OwnContender(std::string name, const PlannedJob& job, comm::Communicator& comm,
                           InProcess process)
    : name_(std::move(name)), job_(job), process_(process), steps_(job, comm, &op_times_) {
    steps_.state().initialise(job.spec().job.seed);
    steps_.open_data(position_.cursor);
}

void OwnContender::launch() {
    StepWishes wishes;
    wishes.deadline = job_.spec().deadline.step.value_or(step_deadline);
    (void)steps_.launch(position_, wishes);
    (void)steps_.advance(position_);
}

void OwnContender::step() {
    launch();
    steps_.settle();
    while (steps_.take_report()) {
    }
}

Turn OwnContender::take_turn(std::int64_t steps) {
    step();
    for (std::int64_t s = 0; s < steps; ++s) launch();
    steps_.settle();
    Turn turn;
    while (const std::optional<StepReport> report = steps_.take_report()) {
        turn.seconds.push_back(report->times.total);
        turn.times += report->times;
    }
    return turn;
}

std::optional<Bytes> OwnContender::peak_memory() {
    if (process_ == InProcess::shared) return std::nullopt;
    return peak_resident_memory();
}

const OpTimes& OwnContender::time_instructions(std::int64_t steps) {
    const bool by_device = job_.device().asynchronous();
    if (by_device) {
        steps_.executor().time_launches();
        for (int i = 0; i < 2; ++i) step();  // either half of the batch memory is captured anew
    }
    const VirtualShards& shards = job_.plan().shards();
    for (std::int64_t timed = 0; timed < steps;) {
        // An epoch's short last step runs another program.
        const bool full = shards.step_samples(position_.cursor.step_in_epoch) == shards.batch();
        // In an epoch of one short step there is no other.
        const bool counts = full || shards.steps_per_epoch() == 1;
        op_times_.record(counts && !by_device);
        step();
        op_times_.record(false);
        if (counts && by_device) op_times_.add_step(steps_.executor().launch_times());
        if (counts) ++timed;
    }
    return op_times_;
}

}  // namespace trireme::jobs
