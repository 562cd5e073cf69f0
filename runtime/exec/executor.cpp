#include "runtime/exec/executor.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"

namespace trireme {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view arrival_label = "all gradients";

double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

/// Arena of the forward program; none where there is none.
Bytes forward_arena(const ParallelPlan& plan, std::int64_t eval_batch) {
    if (eval_batch == 0) return Bytes{};
    return plan_memory(lower_forward(plan.selection(), eval_batch), plan.selection()).size;
}

/// Largest arena that any program of a rank that trains needs.
Bytes training_arena(const ParallelPlan& plan, int rank, std::int64_t eval_batch) {
    Bytes size = std::max(forward_arena(plan, eval_batch),
                          plan_memory(plan.program(rank, StepKind::full), plan.selection()).size);
    if (plan.has_short_step())
        size = std::max(size, plan_memory(plan.program(rank, StepKind::short_last), plan.selection()).size);
    return size;
}

/// Running statistics, each aligned as ModelState lays them out.
Bytes buffer_bytes_of(const layers::ModelGraph& graph) {
    Elements total{};
    for (const layers::BufferSpec& spec : graph.buffers())
        total += aligned(spec.shape.elements(), DType::f32);
    return bytes_of(total, DType::f32);
}

/// Where an instruction's time belongs; the optimizer step measures its own parts.
double* column_of(const Action& action, StepTimes& times) {
    if (std::holds_alternative<OptimizerStep>(action)) return nullptr;
    return std::holds_alternative<ReduceBucket>(action) ? &times.exposed_comm : &times.compute;
}

/// What ranks want of all travels as numbers beside the gradients.
void put_wishes(float* status, const StepInputs& inputs) {
    status[static_cast<std::size_t>(StatusWord::stop)] = inputs.stop_wish ? 1.0F : 0.0F;
    status[static_cast<std::size_t>(StatusWord::save)] = inputs.save_wish ? 1.0F : 0.0F;
}

}  // namespace

struct Executor::StepScope {
    const StepInputs* inputs = nullptr;  ///< null in forward programs
    StepReport report;
    std::size_t sums_started = 0;
    double drill_delay = 0;
};

Executor::Executor(const ExecutorParts& parts) : parts_(parts), stream_(parts.device->make_stream()) {
    const bool trains = parts_.guard != nullptr;
    arena_ =
        Region(parts_.device->memory(), trains ? training_arena(*parts_.plan, parts_.rank, parts_.eval_batch)
                                               : forward_arena(*parts_.plan, parts_.eval_batch));
    if (trains) prepare_training();
}

void Executor::prepare_training() {
    const ParallelPlan& plan = *parts_.plan;
    bucket_region_ = parts_.comm->allocate_buckets(bytes_of(plan.gradient_elements(parts_.rank), DType::f32));
    gradients_ = {reinterpret_cast<float*>(bucket_region_.data()),
                  static_cast<std::size_t>(plan.buckets().arena_elements().value)};
    wishes_apart_ = plan.has_idle_ranks();
    if (wishes_apart_) {
        constexpr Elements words(static_cast<std::int64_t>(StatusWord::count));
        wishes_region_ = parts_.comm->allocate_buckets(bytes_of(words, DType::f32));
        wishes_ = {reinterpret_cast<float*>(wishes_region_.data()), static_cast<std::size_t>(words.value)};
    }
    const std::size_t buckets = plan.buckets().buckets().size();
    sums_.resize(buckets);
    for (std::size_t b = 0; b < buckets; ++b) bucket_labels_.push_back(fmt::format("bucket {}", b));
    for (std::size_t n = 0; n < plan.selection().graph().nodes().size(); ++n) {
        statistics_offsets_.push_back(plan.buckets().statistics(static_cast<layers::NodeId>(n)).offset);
    }
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {  // made now, so that no step pays for it
        if (kind == StepKind::short_last && !plan.has_short_step()) continue;
        training_program(kind);
        if (plan.spec().canonical) make_canonical_lists(kind);
    }
}

void Executor::make_canonical_lists(StepKind kind) {
    const ParallelPlan& plan = *parts_.plan;
    const std::int64_t segment = parts_.comm->segment_elements();
    auto& lists = canonical_lists_[kind];
    for (const comm::CanonicalLayout& layout : plan.canonical_layouts(parts_.rank, kind)) {
        lists.push_back(
            std::make_shared<const comm::StepList>(comm::canonical_all_reduce(layout, parts_.rank, segment)));
    }
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

StepReport Executor::step(const StepInputs& inputs) {
    ensure(parts_.guard != nullptr, "an executor that trains has a guard");
    CompiledProgram& program = training_program(inputs.kind);
    ensure(inputs.batch.samples == program.program().samples(),
           "the batch has the samples that the plan gives this rank");
    StepScope scope;
    scope.inputs = &inputs;
    scope.drill_delay = inputs.drill_delay;
    const auto begin = Clock::now();
    load(program, inputs.batch, inputs.step);
    run(program, scope);
    scope.report.times.total = seconds_between(begin, Clock::now());
    return scope.report;
}

Executor::Prediction Executor::forward(const HostBatch& batch) {
    ensure(batch.samples <= parts_.eval_batch, "a forward batch is at most the planned one");
    CompiledProgram& program = forward_program();
    StepScope scope;
    load(program, batch, 0);
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

void Executor::load(CompiledProgram& program, const HostBatch& batch, std::int64_t step) {
    const std::byte* x = batch.x.data();
    for (CompiledInstruction& instruction : program.instructions()) {
        instruction.context.seed = parts_.seed;
        instruction.context.step = step;
        for (const CompiledInstruction::FromBatch& from : instruction.from_batch) {
            instruction.buffers.inputs[from.input] =
                (from.target ? batch.y.data() : x) + instruction.first_sample * from.sample_bytes;
        }
    }
}

void Executor::run(CompiledProgram& program, StepScope& scope) {
    StepTimes& times = scope.report.times;
    for (CompiledInstruction& instruction : program.instructions()) {
        parts_.comm->set_state(program.program().training ? Phase::step : Phase::evaluate, instruction.text);
        const auto begin = Clock::now();
        execute(instruction, scope);
        const auto end = Clock::now();
        if (double* column = column_of(instruction.source->action, times))
            *column += seconds_between(begin, end);
        trace_span(instruction.text, begin, end);
    }
}

void Executor::trace_span(std::string_view name, Clock::time_point begin, Clock::time_point end) const {
    if (parts_.trace != nullptr) parts_.trace->span(Track::main, name, begin, end, "");
}

void Executor::execute(CompiledInstruction& instruction, StepScope& scope) {
    const Action& action = instruction.source->action;
    if (scope.drill_delay > 0)
        std::this_thread::sleep_for(std::chrono::duration<double>(std::exchange(scope.drill_delay, 0)));
    if (std::holds_alternative<Forward>(action) || std::holds_alternative<Recompute>(action)) {
        instruction.kernels->forward(*stream_, instruction.buffers);
    } else if (const auto* pack = std::get_if<PackWeights>(&action)) {
        if (pack->for_backward) {
            instruction.kernels->pack_backward(*stream_, instruction.buffers);
        } else {
            instruction.kernels->pack_forward(*stream_, instruction.buffers);
        }
    } else if (std::holds_alternative<BackwardActivation>(action)) {
        instruction.kernels->backward_activation(*stream_, instruction.buffers);
    } else if (std::holds_alternative<BackwardWeight>(action)) {
        instruction.kernels->backward_weight(*stream_, instruction.buffers);
    } else if (std::holds_alternative<BackwardInput>(action)) {
        instruction.kernels->backward_input(*stream_, instruction.buffers);
    } else if (const auto* loss = std::get_if<RecordLoss>(&action)) {
        if (instruction.status != nullptr) record_loss(instruction, loss->add, scope);
    } else if (std::holds_alternative<ClearGradients>(action)) {
        clear_gradients(scope);
    } else if (const auto* sum = std::get_if<ReduceBucket>(&action)) {
        reduce(sum->bucket, scope);
    } else if (std::holds_alternative<OptimizerStep>(action)) {
        wait_for_sums(scope);
        commit(scope);
    }
    const int threads = parts_.plan->selection().threads();
    for (const InPlaceSum& sum : instruction.sums) add_in_place(sum, threads);
}

void Executor::record_loss(const CompiledInstruction& instruction, bool on_top, const StepScope& scope) {
    const auto* losses = reinterpret_cast<const float*>(instruction.buffers.inputs.front());
    double sum = 0;
    for (std::int64_t i = 0; i < instruction.samples; ++i) sum += static_cast<double>(losses[i]);
    std::array<float, static_cast<std::size_t>(StatusWord::count)> words{};
    words[static_cast<std::size_t>(StatusWord::loss_sum)] = static_cast<float>(sum);
    words[static_cast<std::size_t>(StatusWord::samples)] = static_cast<float>(instruction.samples);
    words[static_cast<std::size_t>(StatusWord::nonfinite)] = std::isfinite(sum) ? 0.0F : 1.0F;
    put_wishes(words.data(), *scope.inputs);
    for (std::size_t w = 0; w < words.size(); ++w) {
        instruction.status[w] = on_top ? instruction.status[w] + words[w] : words[w];
    }
}

void Executor::clear_gradients(const StepScope& scope) {
    std::fill(gradients_.begin(), gradients_.end(), 0.0F);
    put_wishes(gradients_.data() + parts_.plan->buckets().status_offset(), *scope.inputs);
}

void Executor::reduce(int bucket, StepScope& scope) {
    const auto index = static_cast<std::size_t>(bucket);
    if (wishes_apart_ && scope.sums_started == 0) {
        put_wishes(wishes_.data(), *scope.inputs);
        told_ = parts_.comm->all_reduce(wishes_, comm::Algorithm::automatic, "wishes");
    }
    // Ahead of the sum itself, so that its message does not stand behind those of the gradients.
    if (++scope.sums_started == sums_.size() && parts_.comm->size() > 1)
        arrival_ = parts_.comm->arrive(arrival_label);
    const IndexRange range = parts_.plan->buckets().buckets()[index].range;
    if (parts_.plan->spec().canonical) {
        sums_[index] = parts_.comm->canonical_all_reduce(canonical_lists_.at(scope.inputs->kind)[index],
                                                         gradients_, range.size(), bucket_labels_[index]);
        return;
    }
    const auto data =
        gradients_.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
    sums_[index] = parts_.comm->all_reduce(data, parts_.plan->spec().algorithm, bucket_labels_[index]);
}

void Executor::wait_for_sums(StepScope& scope) {
    const Deadline& deadline = scope.inputs->deadline;
    StepTimes& times = scope.report.times;
    const auto begin = Clock::now();
    if (arrival_.valid()) parts_.comm->wait(arrival_, deadline);
    const auto arrived = Clock::now();
    for (comm::Ticket& sum : sums_) parts_.comm->wait(sum, deadline);
    if (told_.valid()) parts_.comm->wait(told_, deadline);
    const auto summed = Clock::now();
    times.straggler_wait += seconds_between(begin, arrived);
    times.exposed_comm += seconds_between(arrived, summed);
    trace_span("wait for the last rank", begin, arrived);
    trace_span("wait for sums", arrived, summed);
}

void Executor::commit(StepScope& scope) {
    const auto begin = Clock::now();
    update(scope);
    const auto end = Clock::now();
    scope.report.times.compute += seconds_between(begin, end);
    trace_span("update", begin, end);
}

void Executor::update(StepScope& scope) {
    const StepInputs& inputs = *scope.inputs;
    StepReport& report = scope.report;
    const float* status = gradients_.data() + parts_.plan->buckets().status_offset();
    const auto word = [&](StatusWord w) { return static_cast<double>(status[static_cast<std::size_t>(w)]); };
    report.loss_sum = word(StatusWord::loss_sum);
    report.samples = std::llround(word(StatusWord::samples));
    const float* told = wishes_apart_ ? wishes_.data() : status;
    report.stop_wish = told[static_cast<std::size_t>(StatusWord::stop)] > 0;
    report.save_wish = told[static_cast<std::size_t>(StatusWord::save)] > 0;
    const bool loss_finite = word(StatusWord::nonfinite) == 0 && std::isfinite(report.loss_sum);
    report.skipped = !parts_.guard->admit(loss_finite, gradients_, parts_.plan->selection().threads());
    if (report.skipped) return;
    UpdateScalars scalars;
    scalars.lr = inputs.lr;
    scalars.gradient_scale = 1.0 / static_cast<double>(report.samples);
    scalars.update = inputs.update;
    parts_.state->apply(scalars, gradients_);
    parts_.state->update_buffers(gradients_, statistics_offsets_, report.samples);
}

MemoryReport Executor::planned_memory(const ParallelPlan& plan, int rank, const OptimizerSpec& optimizer,
                                      std::int64_t eval_batch) {
    const Bytes arena = bytes_of(plan.buckets().arena_elements(), DType::f32);
    MemoryReport report;
    report.parameters = arena + buffer_bytes_of(plan.selection().graph());
    report.optimizer_state = arena * static_cast<std::int64_t>(state_names(optimizer).size());
    report.gradients = bytes_of(plan.gradient_elements(rank), DType::f32);
    report.arena = training_arena(plan, rank, eval_batch);
    return report;
}

}  // namespace trireme
