#include "jobs/training_run.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "comm/clock_sync.hpp"
#include "jobs/replica_check.hpp"
#include "jobs/split_json.hpp"
#include "jobs/version.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/core/quantile.hpp"
#include "runtime/core/text.hpp"
#include "runtime/telemetry/process_memory.hpp"

namespace trireme::jobs {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double first_steps_deadline = 300;  // seconds; kernels warm up, pages are touched
constexpr std::size_t steps_to_measure = 10;  // then the deadline follows the measured step
constexpr double deadline_factor = 50;
constexpr double least_step_deadline = 30;
constexpr std::int64_t first_traced_step = 2;  // the third: the first two warm up

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

void fine_tune(const JobSpec& spec, ModelState& state, comm::Communicator& comm, Progress& progress) {
    const auto checkpoint = agree_on_named(spec.init_from, spec.deadline.checkpoint, comm);
    const std::vector<std::string> left = initialise_from(state, checkpoint);
    progress.message(fmt::format("initial values from {}", checkpoint.string()));
    for (const std::string& line : left) progress.message(fmt::format("  not taken: {}", line));
}

}  // namespace

TrainingRun::TrainingRun(const PlannedJob& job, comm::Communicator& comm)
    : job_(job),
      comm_(comm),
      progress_(comm.rank() == 0 ? job.spec().telemetry.progress : Progress::Mode::off),
      trace_(comm.rank()),
      steps_(job, comm, job.spec().telemetry.trace_steps > 0 ? &trace_ : nullptr),
      state_(steps_.state()),
      guard_(steps_.guard()),
      drill_(comm.rank()),
      step_deadline_(job.spec().deadline.step.value_or(first_steps_deadline)) {
    if (job.spec().job.early_stop) early_stop_.emplace(*job.spec().job.early_stop);
    if (comm.rank() == 0) folder_.emplace(job.spec().job.output);
    if (job.spec().telemetry.trace_steps > 0) comm.set_trace(&trace_);
}

// The progress thread lives longer than the trace.
TrainingRun::~TrainingRun() { comm_.set_trace(nullptr); }

std::int64_t TrainingRun::last_step() const {
    return std::min(job_.horizon(), job_.spec().job.stop_at.value_or(job_.horizon()));
}

double TrainingRun::epoch_at(std::int64_t step) const {
    return static_cast<double>(step) / static_cast<double>(job_.plan().shards().steps_per_epoch());
}

int TrainingRun::run() {
    begin_ = Clock::now();
    if (folder_) {
        folder_->clear_verdict();
        folder_->write("job.cfg", job_.spec().canonical_text());
        folder_->write("plan.txt",
                       job_.graph_text() + job_.plan_text() + job_.program_text(0) + job_.memory_text(0));
    }
    if (const std::string sums = steps_.executor().sums_text(); !sums.empty()) progress_.message(sums);
    restore_or_initialise();
    if (position_.step >= last_step() || ended_early_) {
        progress_.message(fmt::format(
            "already at step {} of {}: nothing to train. Raise job.epochs, or name another job.output",
            position_.step, last_step()));
        evaluate_val();
    } else {
        train();
    }
    write_trace();
    rank_splits_ = gather_splits(split_, static_cast<std::int64_t>(step_seconds_.size()), loop_seconds_,
                                 comm_, Deadline::in_seconds(job_.spec().deadline.checkpoint));
    write_summary(position_.step >= job_.horizon() || ended_early_ ? "done" : "stopped");
    return stopped_ && position_.step < last_step() && !ended_early_ ? exit_code_requeue : 0;
}

void TrainingRun::restore_or_initialise() {
    const JobSpec& spec = job_.spec();
    if (const auto checkpoint = agree_on_checkpoint(spec, comm_)) {
        position_ = restore_checkpoint(job_, state_, *checkpoint);
        steps_.resume(position_);
        if (early_stop_)
            early_stop_.emplace(*spec.job.early_stop, position_.best_val_loss, position_.without_gain);
        ended_early_ = spec.job.early_stop && position_.without_gain >= *spec.job.early_stop;
        progress_.message(fmt::format("resumed from {} at step {}", checkpoint->string(), position_.step));
    } else {
        state_.initialise(spec.job.seed);
        if (!spec.init_from.empty()) fine_tune(spec, state_, comm_, progress_);
    }
    saver_.emplace(job_, state_, comm_, position_.step);
}

void TrainingRun::train() {
    const JobSpec& spec = job_.spec();
    steps_.open_data(position_.cursor);
    align_trace();
    comm_.barrier("start of training", Deadline::in_seconds(spec.deadline.join));
    const auto begin = Clock::now();
    const std::int64_t first = position_.step;
    while (position_.step < last_step() && !ended_early_ && !stopped_) {
        const std::int64_t at = position_.step - first;
        trace_.record(at >= first_traced_step && at < first_traced_step + spec.telemetry.trace_steps);
        drill_.before_step(position_.step, state_);
        saver_->check();
        after_launch(steps_.launch(position_, wishes()));
    }
    catch_up();
    trace_.record(false);
    progress_.finish();
    if (stopped_) progress_.message(fmt::format("a signal asks to stop: saving step {}", position_.step));
    save();
    const double stopped_before = saver_->seconds_stopped();
    saver_->finish();
    stood_still(saver_->seconds_stopped() - stopped_before);
    loop_seconds_ = seconds_since(begin) - evaluation_seconds_;
    steps_.close_data();
}

/// Lays the clocks of all ranks on rank 0's, so that the spans of one moment stand below each other.
void TrainingRun::align_trace() {
    if (job_.spec().telemetry.trace_steps == 0) return;
    const Deadline deadline = Deadline::in_seconds(job_.spec().deadline.join);
    const comm::ClockOffset mine = comm::align_clock(comm_, deadline);
    std::int64_t zero = comm::read_steady_clock().count();
    comm_.broadcast(std::as_writable_bytes(std::span(&zero, 1)), 0, "zero of the trace", deadline);
    trace_.set_zero(Clock::time_point(std::chrono::nanoseconds(zero) - mine.offset), mine.error);
}

StepWishes TrainingRun::wishes() const {
    StepWishes wishes;
    wishes.stop = StopSignal::wished();
    wishes.save = saver_->wishes();
    wishes.deadline = step_deadline_;
    wishes.data_delay = drill_.data_delay(position_.step);
    wishes.kernel_delay = drill_.kernel_delay(position_.step);
    return wishes;
}

/// Where the device runs beside the host, what follows the step goes on while it computes; whoever needs the
/// state or the reports of all steps catches up first.
void TrainingRun::after_launch(const StepWished& wished) {
    const bool epoch_ends = steps_.advance(position_);
    hear_of_steps();
    stopped_ = stopped_ || wished.stop;
    compare_replicas();
    // The evaluation first: what it says is saved with the state that it is about.
    if (epoch_ends) end_of_epoch();
    if (saver_->is_due(position_, metrics_here(), wished.save)) save();
}

void TrainingRun::hear_of_steps() {
    while (const std::optional<StepReport> report = steps_.take_report()) {
        steps_.mark(position_);
        after_step(*report);
    }
}

void TrainingRun::catch_up() {
    steps_.settle();
    hear_of_steps();
}

void TrainingRun::after_step(const StepReport& report) {
    if (report.skipped) {
        const std::string scale =
            position_.scale ? fmt::format(", loss scale {}", position_.scale->value) : "";
        progress_.message(fmt::format("step {}: not finite, skipped ({} so far){}", report.step + 1,
                                      guard_.skipped(), scale));
    } else {
        samples_ += report.samples;
        last_loss_ = report.loss();
    }
    step_seconds_.push_back(report.times.total);
    split_ += report.times;
    set_step_deadline();
    log_step(report);
}

/// Before anything of this step is saved.
void TrainingRun::compare_replicas() {
    const auto& every = job_.spec().job.hash_every;
    if (!every || position_.step % *every != 0 || comm_.size() == 1) return;
    catch_up();
    const auto begin = Clock::now();
    check_replicas(state_, position_.step, comm_, Deadline::in_seconds(step_deadline_));
    stood_still(seconds_since(begin));
}

void TrainingRun::end_of_epoch() {
    const JobSpec& spec = job_.spec();
    if (spec.telemetry.eval_every > 0 &&
        (position_.cursor.epoch % spec.telemetry.eval_every == 0 || position_.step >= last_step())) {
        catch_up();
        const auto begin = Clock::now();
        evaluate_val();
        evaluation_seconds_ += seconds_since(begin);
        judge_progress();
    }
}

void TrainingRun::set_step_deadline() {
    if (job_.spec().deadline.step || step_seconds_.size() != steps_to_measure) return;
    step_deadline_ = std::max(least_step_deadline, deadline_factor * quantile(step_seconds_, 0.5));
}

void TrainingRun::log_step(const StepReport& report) {
    if (!report.skipped) {
        loss_since_log_ += report.loss_sum;
        samples_since_log_ += report.samples;
    }
    split_since_log_ += report.times;
    ++steps_since_log_;
    const std::int64_t step = report.step + 1;  // as people count
    const bool log_now = step % job_.spec().telemetry.log_every == 0 || step == last_step();
    const double rate = static_cast<double>(samples_since_log_) / split_since_log_.total;
    ProgressFacts facts;
    facts.step = step;
    facts.steps = last_step();
    facts.epoch = epoch_at(step);
    if (samples_since_log_ > 0) facts.loss = loss_since_log_ / static_cast<double>(samples_since_log_);
    facts.lr = steps_.learning_rate(report.step);
    facts.samples_per_s = rate;
    facts.seconds_left =
        split_.total / static_cast<double>(step_seconds_.size()) * static_cast<double>(last_step() - step);
    progress_.show(facts, log_now);
    if (!log_now) return;
    if (folder_) {
        const nlohmann::ordered_json none;
        nlohmann::ordered_json line{{"step", step},
                                    {"epoch", facts.epoch},
                                    {"loss", facts.loss ? nlohmann::ordered_json(*facts.loss) : none},
                                    {"lr", facts.lr},
                                    {"samples_per_s", rate},
                                    {"step_ms", report.times.total * 1e3}};
        line["split"] = split_json(split_since_log_, steps_since_log_);
        folder_->add_metrics(line.dump());
    }
    loss_since_log_ = 0;
    samples_since_log_ = steps_since_log_ = 0;
    split_since_log_ = {};
}

void TrainingRun::evaluate_val() {
    if (!has_samples(*job_.data(), "val")) return;
    EvaluationSetup setup = evaluation_setup(job_, *job_.data(), "val");
    setup.step_seconds = step_deadline_;
    {
        const auto averaged = state_.with_ema();  // where the job keeps an average, it is what is judged
        val_ = evaluate(steps_.executor(), setup, comm_, nullptr);
    }
    val_step_ = position_.step;
    const std::string accuracy =
        val_->has_accuracy() ? fmt::format("  val accuracy {:.2f} %", val_->accuracy() * 100) : "";
    progress_.message(
        fmt::format("epoch {}  val loss {:.4f}{}", position_.cursor.epoch, val_->loss(), accuracy));
    if (folder_) {
        nlohmann::ordered_json line{{"step", position_.step}, {"epoch", epoch_at(position_.step)}};
        for (const auto& [name, value] : metrics_here()) line[name] = value;
        folder_->add_metrics(line.dump());
    }
}

Metrics TrainingRun::metrics_here() const {
    Metrics metrics;
    if (!val_ || val_step_ != position_.step) return metrics;
    metrics["val_loss"] = val_->loss();
    if (val_->has_accuracy()) metrics["val_accuracy"] = val_->accuracy();
    return metrics;
}

void TrainingRun::judge_progress() {
    if (!early_stop_ || !val_) return;
    ended_early_ = early_stop_->update(val_->loss());
    position_.best_val_loss = early_stop_->best();
    position_.without_gain = early_stop_->without_gain();
    if (ended_early_) {
        progress_.message(fmt::format("no gain in {} evaluations: stopped early", position_.without_gain));
    }
}

void TrainingRun::save() {
    catch_up();
    const double before = saver_->seconds_stopped();
    saver_->save(position_, metrics_here());
    stood_still(saver_->seconds_stopped() - before);
}

/// For a save or a check of replicas: in the split of the run, and in that of the record to come.
void TrainingRun::stood_still(double seconds) {
    split_.checkpoint += seconds;
    split_since_log_.checkpoint += seconds;
}

void TrainingRun::write_trace() {
    if (job_.spec().telemetry.trace_steps == 0) return;
    const auto events =
        comm_.all_gather(trace_.events(), "trace", Deadline::in_seconds(job_.spec().deadline.checkpoint));
    if (folder_) folder_->write("trace.json", TraceWriter::document(events));
}

void TrainingRun::write_summary(const std::string& status) {
    if (!folder_) return;
    nlohmann::ordered_json libraries;
    for (const auto& [name, version] : versions()) libraries[name] = version;
    const nlohmann::ordered_json none;
    const bool trained = !step_seconds_.empty();
    const std::string sums = steps_.executor().sums_text();
    const std::string params_sha256 = state_.params_sha256();
    const double median_ms = quantile(step_seconds_, 0.5) * 1e3;
    const MemoryReport memory = job_.memory(0);
    const RankSplit& mine = rank_splits_.front();
    const nlohmann::ordered_json summary{
        {"schema", 1},
        {"status", status},
        {"steps", position_.step},
        {"skipped_steps", guard_.skipped()},
        {"loss_scale", position_.scale ? static_cast<double>(position_.scale->value)
                                       : job_.spec().precision.loss_scale.initial},
        {"epochs", epoch_at(position_.step)},
        {"world", job_.world()},
        {"layout",
         {{"data", job_.plan().spec().data},
          {"virtual_shards", job_.plan().shards().shards()},
          {"microbatches", job_.plan().spec().microbatches}}},
        {"gradients", sums.empty() ? none : nlohmann::ordered_json(sums)},
        {"train_loss", trained ? nlohmann::ordered_json(last_loss_) : none},
        {"val_loss", val_ ? nlohmann::ordered_json(val_->loss()) : none},
        {"val_accuracy", val_ && val_->has_accuracy() ? nlohmann::ordered_json(val_->accuracy()) : none},
        {"samples_per_s",
         trained ? nlohmann::ordered_json(static_cast<double>(samples_) / split_.total) : none},
        {"step_ms",
         {{"median", median_ms},
          {"p10", quantile(step_seconds_, 0.1) * 1e3},
          {"p90", quantile(step_seconds_, 0.9) * 1e3}}},
        {"seconds", seconds_since(begin_)},
        {"parameters", job_.graph().parameter_count().value},
        {"params_sha256", params_sha256},
        {"state_sha256", state_.state_sha256(position_.str())},
        {"step_time_split", split_json(split_, mine.steps)},
        {"step_time", rest_json(mine)},
        {"evaluation_seconds", evaluation_seconds_},
        {"ranks", ranks_json(rank_splits_)},
        {"waited_for", waited_for_json(rank_splits_)},
        {"peak_memory_bytes",
         {{"planned", memory.in_process().value}, {"process", peak_resident_memory().value}}},
        {"device_memory_bytes", memory.apart ? nlohmann::ordered_json(memory.on_device().value) : none},
        {"versions", libraries},
    };
    folder_->write("summary.json", summary.dump(2) + '\n');
    fmt::print("{}: step {}, loss {:.4f}, {:.0f} samples/s, step {:.2f} ms (median)\n", status,
               position_.step, last_loss_, trained ? static_cast<double>(samples_) / split_.total : 0.0,
               median_ms);
    fmt::print("memory of rank 0: planned {}, process {}\n", human_bytes(memory.in_process()),
               human_bytes(peak_resident_memory()));
    if (const auto straggler = straggler_of(rank_splits_)) fmt::print("{}\n", straggler->str());
    fmt::print("parameters sha256 {}\nrun folder {}\n", params_sha256, folder_->path().string());
}

}  // namespace trireme::jobs
