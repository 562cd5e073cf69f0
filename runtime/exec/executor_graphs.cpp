// A training step whose launches were captured once:
//
//     host      uploads | launch passes | wait for the update before | downloads, sums .. | launch update |
//     compute    update before | forward and backward of all micro-batches .............. | update
//
// Two graphs, cut where the host waits for sums. Inside of the first one events join what moves beside it:
// samples are waited for micro-batch by micro-batch, and each bucket's gradients are told when they are
// there.
//
// The first step of a kind is launched piece by piece: libraries load and choose in their first launches what
// a capture would not allow. The second one is captured.
#include <algorithm>

#include "runtime/core/error.hpp"
#include "runtime/device/capture.hpp"
#include "runtime/exec/step_scope.hpp"

namespace trireme {
Executor::Captured* Executor::captured(StepKind kind) {
    if (!parts_.capture || !parts_.device->captures()) return nullptr;
    if (std::find(warm_.begin(), warm_.end(), kind) == warm_.end()) {
        warm_.push_back(kind);
        return nullptr;
    }
    return &captured_[{kind, transfers_->half()}];
}

void Executor::capture(CompiledProgram& program, StepScope& scope, Captured& captured) {
    Capture passes(*stream_);
    if (scope.clock != nullptr) scope.clock->begin(*stream_);
    for (CompiledInstruction& instruction : program.instructions()) {
        if (!is_of_host(instruction.source->action)) launch_on_stream(instruction, scope);
    }
    captured.passes = passes.end();
    Capture update(*stream_);
    launch_update(scope);
    captured.update = update.end();
}

void Executor::replay(CompiledProgram& program, StepScope& scope) {
    for (CompiledInstruction& instruction : program.instructions()) {
        if (std::holds_alternative<LoadMicrobatch>(instruction.source->action)) play(instruction, scope);
    }
    parts_.comm->set_state(Phase::step, passes_label);
    const auto begin = Clock::now();
    if (scope.captured->passes == nullptr) capture(program, scope, *scope.captured);
    stream_->launch(*scope.captured->passes);
    const auto end = Clock::now();
    scope.report.times.compute += seconds_between(begin, end);
    trace_span(passes_label, begin, end);
    for (CompiledInstruction& instruction : program.instructions()) {
        if (follows_passes(instruction.source->action)) play(instruction, scope);
    }
}

void Executor::time_launches() {
    ensure(parts_.device->asynchronous(), "launches are timed where they return before they have run");
    settle();
    times_launches_ = true;
    captured_.clear();  // what was captured has no marks
    last_clock_ = nullptr;
}

/// Null where launches are not timed.
LaunchClock* Executor::clock_of(Captured* captured) {
    if (!times_launches_) return nullptr;
    std::optional<LaunchClock>& clock = captured != nullptr ? captured->clock : clock_;
    if (!clock) clock.emplace(*parts_.device);
    return &*clock;
}

std::vector<LaunchTime> Executor::launch_times() const {
    ensure(last_clock_ != nullptr && !under_way_, "a step was timed, and is over");
    return last_clock_->times();
}

}  // namespace trireme
