#include "jobs/training_steps.hpp"

#include <chrono>
#include <thread>
#include <utility>

#include "jobs/evaluation.hpp"

namespace trireme::jobs {
namespace {

using Clock = std::chrono::steady_clock;

ExecutorParts training_parts(const PlannedJob& job, comm::Communicator& comm, ModelState& state,
                             StepGuard& guard, TraceSink* trace) {
    ExecutorParts parts = executor_parts(job, comm, state);
    parts.guard = &guard;
    parts.trace = trace;
    return parts;
}

}  // namespace

TrainingSteps::TrainingSteps(const PlannedJob& job, comm::Communicator& comm, TraceSink* trace)
    : job_(job),
      comm_(comm),
      trace_(trace),
      state_(job.graph(), job.plan().buckets(), job.spec().optimizer, job.device()),
      guard_(job.spec().job.nan),
      executor_(training_parts(job, comm, state_, guard_, trace)),
      schedule_(job.spec().schedule) {
    schedule_.horizon = job.horizon();
}

StepState TrainingSteps::state_at(const Position& position, const LossScaling& scaling) {
    StepState state = initial_state(scaling);
    state.update = position.step - position.skipped;
    if (position.scale) {
        state.loss_scale = position.scale->value;
        state.good_in_a_row = position.scale->good_in_a_row;
    }
    return state;
}

void TrainingSteps::resume(const Position& position) {
    guard_ = StepGuard(job_.spec().job.nan, position.skipped);
    executor_.restore(state_at(position, job_.spec().precision.loss_scale));
}

void TrainingSteps::open_data(const io::Cursor& first) {
    io::LoaderOptions options = job_.loader_options();
    options.split = "train";
    loader_.emplace(*job_.data(), job_.plan().shards(), job_.plan().owned(comm_.rank()), first, options,
                    trace_);
}

void TrainingSteps::close_data() {
    executor_.forget_next();
    next_.reset();
    loader_.reset();
}

StepKind TrainingSteps::kind_of(const io::Cursor& cursor) const {
    const VirtualShards& shards = job_.plan().shards();
    return shards.step_samples(cursor.step_in_epoch) < shards.batch() ? StepKind::short_last : StepKind::full;
}

std::optional<NextBatch> TrainingSteps::look_ahead() {
    next_ = loader_->next_if_ready();
    if (!next_) return std::nullopt;
    return NextBatch{host_batch(*next_), kind_of(next_->cursor())};
}

StepWished TrainingSteps::launch(const Position& position, const StepWishes& wishes) {
    const auto begin = Clock::now();
    comm_.set_state(Phase::data, "batch");
    if (wishes.data_delay > 0) std::this_thread::sleep_for(std::chrono::duration<double>(wishes.data_delay));
    const io::Batch batch =
        next_ ? std::move(*next_) : loader_->next(Deadline::in_seconds(job_.spec().deadline.data));
    next_.reset();
    StepInputs inputs;
    inputs.data_wait = std::chrono::duration<double>(Clock::now() - begin).count();
    inputs.kind = kind_of(position.cursor);
    inputs.batch = host_batch(batch);
    inputs.step = position.step;
    inputs.lr = schedule_.at(position.step);
    inputs.stop_wish = wishes.stop;
    inputs.save_wish = wishes.save;
    inputs.drill_delay = wishes.kernel_delay;
    inputs.deadline = Deadline::in_seconds(wishes.deadline);
    if (job_.device().asynchronous()) inputs.next = [this] { return look_ahead(); };
    return executor_.launch(inputs);
}

std::optional<StepReport> TrainingSteps::take_report() {
    const std::optional<StepReport> report = executor_.take_report();
    if (report && job_.spec().precision.loss_scale.dynamic)
        scale_ = LossScale{report->loss_scale, report->good_in_a_row};
    return report;
}

bool TrainingSteps::advance(Position& position) const {
    ++position.step;
    ++position.cursor.step_in_epoch;
    if (position.cursor.step_in_epoch < job_.plan().shards().steps_per_epoch()) return false;
    ++position.cursor.epoch;
    position.cursor.step_in_epoch = 0;
    return true;
}

void TrainingSteps::mark(Position& position) const {
    position.skipped = guard_.skipped();
    position.scale = scale_;
}

}  // namespace trireme::jobs
