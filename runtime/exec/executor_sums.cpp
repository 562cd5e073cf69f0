// The second half of a step: gradients leave, sums come back, the update is committed or thrown away; and the
// end of a step, which on an asynchronous device comes while the next one is under way.
#include <cmath>
#include <utility>

#include "runtime/core/error.hpp"
#include "runtime/exec/step_scope.hpp"

namespace trireme {
namespace {

constexpr std::string_view arrival_label = "all gradients";

float& word(std::span<float> words, StatusWord w) { return words[static_cast<std::size_t>(w)]; }

}  // namespace

/// Where wishes travel by themselves, none is among the status words.
void Executor::give_orders(const StepInputs& inputs) {
    StepOrders orders;
    orders.lr = inputs.lr;
    orders.stop_wish = inputs.stop_wish && !wishes_apart_ ? 1.0F : 0.0F;
    orders.save_wish = inputs.save_wish && !wishes_apart_ ? 1.0F : 0.0F;
    step_kernels_->begin(*stream_, orders);
    if (streams_) streams_->send(*stream_, inputs.step);
}

void Executor::record_loss(const CompiledInstruction& instruction, bool on_top) {
    const auto* losses = reinterpret_cast<const float*>(instruction.buffers.inputs.front());
    step_kernels_->record_loss(*stream_, {losses, instruction.samples, instruction.status, on_top});
}

void Executor::clear_gradients() {
    const GradBuckets& buckets = parts_.plan->buckets();
    step_kernels_->clear(*stream_, device_gradients_, buckets.arena_elements().value,
                         device_gradients_ + buckets.status_offset());
}

void Executor::restore(const StepState& state) {
    ensure(step_kernels_ != nullptr, "an executor that trains has step kernels");
    settle();
    step_kernels_->restore(state);
}

void Executor::reduce(int bucket, StepScope& scope) {
    const auto index = static_cast<std::size_t>(bucket);
    if (wishes_apart_ && scope.sums_started == 0) {
        word(wishes_, StatusWord::stop) = scope.inputs->stop_wish ? 1.0F : 0.0F;
        word(wishes_, StatusWord::save) = scope.inputs->save_wish ? 1.0F : 0.0F;
        told_ = parts_.comm->all_reduce(wishes_, comm::Algorithm::automatic, "wishes");
    }
    // Ahead of the sum itself, so that its message does not stand behind those of the gradients.
    if (++scope.sums_started == sums_.size() && parts_.comm->size() > 1)
        arrival_ = parts_.comm->arrive(arrival_label);
    if (parts_.comm->size() == 1) return;  // the sum over one rank is where it should be
    sums_[index] = bucket_sums_->start(bucket, scope.inputs->kind);
}

void Executor::wait_for_sums(StepScope& scope) {
    const Deadline& deadline = scope.inputs->deadline;
    StepTimes& times = scope.report.times;
    const auto begin = Clock::now();
    if (arrival_.valid()) parts_.comm->wait(arrival_, deadline);
    const auto arrived = Clock::now();
    for (std::size_t b = 0; b < sums_.size(); ++b) {
        if (!sums_[b].valid()) continue;
        parts_.comm->wait(sums_[b], deadline);
        bucket_sums_->finish(static_cast<int>(b));
    }
    if (told_.valid()) parts_.comm->wait(told_, deadline);
    const auto summed = Clock::now();
    times.straggler_wait += seconds_between(begin, arrived);
    times.exposed_comm += seconds_between(arrived, summed);
    trace_span("wait for the last rank", begin, arrived);
    trace_span(sums_label, arrived, summed);
}

void Executor::commit(StepScope& scope) {
    const auto begin = Clock::now();
    update(scope);
    const auto end = Clock::now();
    scope.report.times.compute += seconds_between(begin, end);
    trace_span(update_label, begin, end);
}

void Executor::update(StepScope& scope) {
    if (!transfers_) {
        parts_.state->change_on_device(nullptr);
        step_kernels_->commit(*stream_, &scope.judged);
    } else {
        parts_.state->change_on_device(committed_);
        if (scope.captured != nullptr) {
            stream_->launch(*scope.captured->update);
        } else {
            launch_update(scope);
        }
        stream_->record(*committed_);
    }
    StepWished& wished = scope.report.wished;
    wished.stop = (wishes_apart_ ? word(wishes_, StatusWord::stop) : scope.judged.stop_wishes) > 0;
    wished.save = (wishes_apart_ ? word(wishes_, StatusWord::save) : scope.judged.save_wishes) > 0;
}

/// On an asynchronous device.
void Executor::launch_update(StepScope& scope) {
    if (scope.clock != nullptr) scope.clock->mark(*stream_, sums_label);
    step_kernels_->commit(*stream_, judgement());
    if (scope.clock != nullptr) scope.clock->mark(*stream_, update_label);
}

/// In front of what leaves the device, and of the next samples: a queue that is never empty computes
/// meanwhile.
void Executor::finish_step_before(const CompiledInstruction& instruction, StepScope& scope) {
    if (under_way_ && follows_passes(instruction.source->action)) scope.of_step_before += finish_under_way();
}

void Executor::settle() {
    if (under_way_) finish_under_way();
}

/// Seconds that it took: they belong to the step that is waited for.
double Executor::finish_under_way() {
    parts_.comm->set_state(Phase::step, commit_label);
    const auto begin = Clock::now();
    committed_->synchronize();
    const auto end = Clock::now();
    trace_span(commit_label, begin, end);
    const double waited = seconds_between(begin, end);
    StepReport report = *std::exchange(under_way_, std::nullopt);
    report.times.compute += waited;
    report.times.total += waited;
    finish(report, *judgement());
    return waited;
}

void Executor::finish(StepReport report, const StepState& judged) {
    report.loss_sum = judged.loss_sum;
    report.samples = std::llround(judged.samples);
    report.loss_scale = judged.loss_scale;
    report.good_in_a_row = judged.good_in_a_row;
    report.skipped =
        !parts_.guard->admit(judged.loss_finite != 0, judged.admitted != 0, judged.scale_fell != 0);
    over_.push_back(report);
}

}  // namespace trireme
