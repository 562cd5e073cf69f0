#include "runtime/exec/executor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

/// Largest arena that any program of a rank needs.
Bytes arena_of(const ParallelPlan& plan, int rank, std::int64_t eval_batch) {
    Bytes size = plan_memory(plan.program(rank, StepKind::full), plan.selection()).size;
    if (plan.has_short_step())
        size = std::max(size, plan_memory(plan.program(rank, StepKind::short_last), plan.selection()).size);
    if (eval_batch > 0)
        size =
            std::max(size, plan_memory(lower_forward(plan.selection(), eval_batch), plan.selection()).size);
    return size;
}

void add(const CompiledInstruction::Sum& sum) {
    for (std::int64_t i = 0; i < sum.elements; ++i) sum.to[i] += sum.from[i];
}

}  // namespace

struct Executor::StepScope {
    StepTimes times;
    Deadline deadline = Deadline::in_seconds(0);
    UpdateScalars scalars;
    double loss_sum = 0;
    std::int64_t samples = 0;
    StepReport report;
};

Executor::Executor(const ExecutorParts& parts) : parts_(parts), stream_(parts.device->make_stream()) {
    const ParallelPlan& plan = *parts_.plan;
    arena_ = Region(parts_.device->memory(), arena_of(plan, parts_.rank, parts_.eval_batch));
    bucket_region_ = parts_.comm->allocate_buckets(bytes_of(plan.buckets().arena_elements(), DType::f32));
    gradients_ = {reinterpret_cast<float*>(bucket_region_.data()),
                  static_cast<std::size_t>(plan.buckets().arena_elements().value)};
    const std::size_t buckets = plan.buckets().buckets().size();
    sums_.resize(buckets);
    for (std::size_t b = 0; b < buckets; ++b) bucket_labels_.push_back(fmt::format("bucket {}", b));
    training_program(StepKind::full);  // made before the first step, so that no step pays for it
    if (plan.has_short_step()) training_program(StepKind::short_last);
}

CompiledProgram& Executor::training_program(StepKind kind) {
    const auto found = training_.find(kind);
    if (found != training_.end()) return found->second;
    const ProgramMemory memory{arena_.data(), gradients_.data(), parts_.state};
    const ParallelPlan& plan = *parts_.plan;
    return training_
        .try_emplace(kind, plan.program(parts_.rank, kind), plan.selection(), plan.buckets(), memory)
        .first->second;
}

CompiledProgram& Executor::forward_program() {
    if (!forward_) {
        const ProgramMemory memory{arena_.data(), nullptr, parts_.state};
        const Selection& selection = parts_.plan->selection();
        forward_.emplace(lower_forward(selection, parts_.eval_batch), selection, parts_.plan->buckets(),
                         memory);
    }
    return *forward_;
}

StepReport Executor::step(StepKind kind, const HostBatch& batch, const UpdateScalars& scalars,
                          const Deadline& deadline) {
    CompiledProgram& program = training_program(kind);
    ensure(batch.samples == program.program().samples(),
           "the batch has the samples that the plan gives this rank");
    StepScope scope;
    scope.deadline = deadline;
    scope.scalars = scalars;
    const auto begin = Clock::now();
    load(program, batch);
    run(program, scope);
    scope.report.times = scope.times;
    scope.report.times.total = seconds_between(begin, Clock::now());
    return scope.report;
}

Executor::Prediction Executor::forward(const HostBatch& batch) {
    ensure(batch.samples <= parts_.eval_batch, "a forward batch is at most the planned one");
    CompiledProgram& program = forward_program();
    StepScope scope;
    load(program, batch);
    run(program, scope);
    stream_->synchronize();
    const layers::ModelGraph& graph = parts_.plan->selection().graph();
    const auto samples = static_cast<std::size_t>(batch.samples);
    return {{program.activation(graph.logits()), samples * static_cast<std::size_t>(classes())},
            {program.activation(graph.loss()), samples}};
}

std::int64_t Executor::classes() const {
    const layers::ModelGraph& graph = parts_.plan->selection().graph();
    return graph.tensor(graph.logits()).shape.elements().value;
}

void Executor::load(CompiledProgram& program, const HostBatch& batch) {
    const auto* x = reinterpret_cast<const std::byte*>(batch.x.data());
    const auto* y = reinterpret_cast<const std::byte*>(batch.y.data());
    for (CompiledInstruction& instruction : program.instructions()) {
        for (const CompiledInstruction::FromBatch& from : instruction.from_batch) {
            instruction.buffers.inputs[from.input] =
                (from.target ? y : x) + instruction.first_sample * from.sample_bytes;
        }
    }
}

void Executor::run(CompiledProgram& program, StepScope& scope) {
    for (CompiledInstruction& instruction : program.instructions()) {
        parts_.comm->set_state(program.program().training ? Phase::step : Phase::evaluate, instruction.text);
        const auto begin = Clock::now();
        const double waited_before = scope.times.exposed_comm;
        execute(instruction, scope);
        const auto end = Clock::now();
        scope.times.compute += seconds_between(begin, end) - (scope.times.exposed_comm - waited_before);
        if (parts_.trace != nullptr) parts_.trace->span(Track::main, instruction.text, begin, end, "");
    }
}

void Executor::execute(CompiledInstruction& instruction, StepScope& scope) {
    const Action& action = instruction.source->action;
    if (std::holds_alternative<Forward>(action)) {
        instruction.kernels->forward(*stream_, instruction.buffers);
    } else if (std::holds_alternative<BackwardActivation>(action)) {
        instruction.kernels->backward_activation(*stream_, instruction.buffers);
    } else if (std::holds_alternative<BackwardWeight>(action)) {
        instruction.kernels->backward_weight(*stream_, instruction.buffers);
    } else if (std::holds_alternative<BackwardInput>(action)) {
        instruction.kernels->backward_input(*stream_, instruction.buffers);
    } else if (std::holds_alternative<RecordLoss>(action)) {
        record_loss(instruction, scope);
    } else if (std::holds_alternative<ClearGradients>(action)) {
        std::fill(gradients_.begin(), gradients_.end(), 0.0f);
    } else if (const auto* sum = std::get_if<ReduceBucket>(&action)) {
        reduce(sum->bucket, scope);
    } else if (std::holds_alternative<OptimizerStep>(action)) {
        commit(scope);
    }
    for (const CompiledInstruction::Sum& sum : instruction.sums) add(sum);
}

void Executor::record_loss(const CompiledInstruction& instruction, StepScope& scope) {
    const auto* losses = reinterpret_cast<const float*>(instruction.buffers.inputs.front());
    for (std::int64_t i = 0; i < instruction.samples; ++i) scope.loss_sum += static_cast<double>(losses[i]);
    scope.samples += instruction.samples;
}

void Executor::reduce(int bucket, StepScope& scope) {
    const GradBuckets& buckets = parts_.plan->buckets();
    const auto index = static_cast<std::size_t>(bucket);
    if (index + 1 == buckets.buckets().size()) {
        float* status = gradients_.data() + buckets.status_offset();
        status[static_cast<std::size_t>(StatusWord::loss_sum)] = static_cast<float>(scope.loss_sum);
        status[static_cast<std::size_t>(StatusWord::samples)] = static_cast<float>(scope.samples);
        status[static_cast<std::size_t>(StatusWord::nonfinite)] = std::isfinite(scope.loss_sum) ? 0.0f : 1.0f;
    }
    const IndexRange range = buckets.buckets()[index].range;
    const auto data =
        gradients_.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
    sums_[index] = parts_.comm->all_reduce(data, parts_.plan->spec().algorithm, bucket_labels_[index]);
}

void Executor::commit(StepScope& scope) {
    const auto begin = Clock::now();
    for (comm::Ticket& sum : sums_) parts_.comm->wait(sum, scope.deadline);
    scope.times.exposed_comm += seconds_between(begin, Clock::now());

    const float* status = gradients_.data() + parts_.plan->buckets().status_offset();
    scope.report.loss_sum = static_cast<double>(status[static_cast<std::size_t>(StatusWord::loss_sum)]);
    scope.report.samples = std::llround(status[static_cast<std::size_t>(StatusWord::samples)]);
    if (status[static_cast<std::size_t>(StatusWord::nonfinite)] != 0 ||
        !std::isfinite(scope.report.loss_sum)) {
        throw NumericError(
            "the loss is not finite: lower optimizer.lr, add warm-up, or look at the data with `trireme data "
            "inspect`");
    }
    scope.scalars.gradient_scale = 1.0 / static_cast<double>(scope.report.samples);
    parts_.state->apply(scope.scalars, gradients_);
}

MemoryReport Executor::planned_memory(const ParallelPlan& plan, int rank, const OptimizerSpec& optimizer,
                                      std::int64_t eval_batch) {
    const Bytes arena = bytes_of(plan.buckets().arena_elements(), DType::f32);
    MemoryReport report;
    report.parameters = arena;
    report.optimizer_state = arena * static_cast<std::int64_t>(state_names(optimizer).size());
    report.gradients = arena;
    report.arena = arena_of(plan, rank, eval_batch);
    return report;
}

}  // namespace trireme
