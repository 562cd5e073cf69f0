#include "runtime/exec/executor.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"
#include "runtime/exec/step_scope.hpp"
#include "runtime/exec/step_tables.hpp"

namespace trireme {
namespace {

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

/// Bytes of the largest batch that a rank's programs read.
BatchBytes batch_bytes(const ParallelPlan& plan, int rank, std::int64_t eval_batch) {
    const layers::ModelGraph& graph = plan.selection().graph();
    const std::int64_t samples =
        std::max({eval_batch, plan.rank_samples(rank, StepKind::full), std::int64_t{1}});
    const auto bytes = [&](layers::TensorId id) {
        const layers::TensorSpec& tensor = graph.tensor(id);
        return bytes_of(tensor.shape.elements() * samples, tensor.dtype);
    };
    return {bytes(graph.input()), bytes(graph.target())};
}

}  // namespace

Executor::Executor(const ExecutorParts& parts) : parts_(parts), stream_(parts.device->make_stream()) {
    const bool trains = parts_.guard != nullptr;
    arena_ =
        Region(parts_.device->memory(), trains ? training_arena(*parts_.plan, parts_.rank, parts_.eval_batch)
                                               : forward_arena(*parts_.plan, parts_.eval_batch));
    if (parts_.device->asynchronous()) prepare_transfers();
    if (trains) prepare_training();
}

void Executor::prepare_transfers() {
    const ParallelPlan& plan = *parts_.plan;
    std::size_t microbatches = 1;
    for (StepKind kind : {StepKind::full, StepKind::short_last})
        microbatches = std::max(microbatches, plan.microbatches(parts_.rank, kind).size());
    transfers_.emplace(*parts_.device, *stream_, batch_bytes(plan, parts_.rank, parts_.eval_batch),
                       static_cast<int>(plan.buckets().buckets().size()), static_cast<int>(microbatches));
    const Bytes prediction = bytes_of(Elements((classes() + 1) * parts_.eval_batch), DType::f32);
    constexpr Bytes judged(sizeof(StepState));
    results_ = Region(parts_.device->staging(), std::max(prediction, judged));
    committed_ = parts_.device->make_event();
}

void Executor::prepare_training() {
    const ParallelPlan& plan = *parts_.plan;
    if (transfers_) {
        choice_.emplace(plan, *parts_.comm, *parts_.device);
        device_gradients_ = choice_->gradients();
    } else {
        bucket_region_ =
            parts_.comm->allocate_buckets(bytes_of(plan.gradient_elements(parts_.rank), DType::f32));
        device_gradients_ = reinterpret_cast<float*>(bucket_region_.data());
    }
    wishes_apart_ = plan.has_idle_ranks() || transfers_;
    if (wishes_apart_) {
        constexpr Elements words(static_cast<std::int64_t>(StatusWord::count));
        wishes_region_ = parts_.comm->allocate_buckets(bytes_of(words, DType::f32));
        wishes_ = {reinterpret_cast<float*>(wishes_region_.data()), static_cast<std::size_t>(words.value)};
    }
    sums_.resize(plan.buckets().buckets().size());
    make_step_kernels();
    prepare_sums();
    if (parts_.capture && parts_.device->captures())
        streams_.emplace(*parts_.device, parts_.seed, plan.selection().graph().nodes().size());
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {  // made now, so that no step pays for it
        if (kind == StepKind::short_last && !plan.has_short_step()) continue;
        CompiledProgram& program = training_program(kind);
        if (streams_) streams_->bind(program);
    }
}

void Executor::prepare_sums() {
    if (!transfers_) {
        bucket_sums_ = std::make_unique<HostSums>(*parts_.plan, *parts_.comm, device_gradients_);
        return;
    }
    bucket_sums_ = choice_->take(*transfers_, *stream_, [this](Stream& stream, const InPlaceSum& sum) {
        step_kernels_->add(stream, sum);
    });
}

void Executor::make_step_kernels() {
    const GradBuckets& buckets = parts_.plan->buckets();
    const Selection& selection = parts_.plan->selection();
    StepParts parts;
    parts.device = parts_.device;
    parts.state = parts_.state;
    parts.gradients = device_gradients_;
    parts.elements = buckets.arena_elements().value;
    parts.status_offset = buckets.status_offset();
    parts.norms = parts_.state->running_norms(statistics_offsets(selection.graph(), buckets));
    parts.scaling = parts_.loss_scaling;
    parts.threads = selection.threads();
    step_kernels_ =
        parts_.step_kernels ? parts_.step_kernels(parts) : std::make_unique<HostStepKernels>(parts);
}

CompiledProgram& Executor::training_program(StepKind kind) {
    const auto found = training_.find(kind);
    if (found != training_.end()) return found->second;
    const ProgramMemory memory{arena_.data(), device_gradients_, parts_.state};
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

StepWished Executor::launch(const StepInputs& inputs) {
    ensure(parts_.guard != nullptr, "an executor that trains has a guard");
    CompiledProgram& program = training_program(inputs.kind);
    ensure(inputs.batch.samples == program.program().samples(),
           "the batch has the samples that the plan gives this rank");
    StepScope scope;
    scope.inputs = &inputs;
    scope.batch = inputs.batch;
    scope.drill_delay = inputs.drill_delay;
    scope.report.step = inputs.step;
    const auto begin = Clock::now();
    if (transfers_) transfers_->take_other_half();
    scope.loaded = ahead_ && ahead_->x.data() == inputs.batch.x.data();
    ahead_.reset();
    scope.captured = captured(inputs.kind);
    last_clock_ = scope.clock = clock_of(scope.captured);
    load(program, inputs.batch, inputs.step);
    give_orders(inputs);
    run(program, scope);
    scope.report.times.data_wait = inputs.data_wait;
    scope.report.times.total = inputs.data_wait + seconds_between(begin, Clock::now()) - scope.of_step_before;
    if (transfers_) {
        under_way_ = scope.report;
    } else {
        finish(scope.report, scope.judged);
    }
    return scope.report.wished;
}

std::optional<StepReport> Executor::take_report() {
    if (over_.empty()) return std::nullopt;
    const StepReport oldest = over_.front();
    over_.erase(over_.begin());
    return oldest;
}

Executor::Prediction Executor::forward(const HostBatch& batch) {
    ensure(batch.samples <= parts_.eval_batch, "a forward batch is at most the planned one");
    settle();
    CompiledProgram& program = forward_program();
    StepScope scope;
    scope.batch = batch;
    load(program, batch, 0);
    run(program, scope);
    const layers::ModelGraph& graph = parts_.plan->selection().graph();
    const float* logits = program.activation(graph.logits());
    const float* loss = program.activation(graph.loss());
    if (transfers_) {
        const std::int64_t width = classes() * parts_.eval_batch;
        auto* host = reinterpret_cast<float*>(results_.data());
        const auto fetch = [&](float* to, const float* from, std::int64_t elements) {
            stream_->copy(reinterpret_cast<std::byte*>(to), reinterpret_cast<const std::byte*>(from),
                          bytes_of(Elements(elements), DType::f32));
        };
        fetch(host, std::exchange(logits, host), width);
        fetch(host + width, std::exchange(loss, host + width), parts_.eval_batch);
    }
    stream_->synchronize();
    const auto samples = static_cast<std::size_t>(batch.samples);
    return {{logits, samples * static_cast<std::size_t>(classes())}, {loss, samples}};
}

std::int64_t Executor::classes() const {
    const layers::ModelGraph& graph = parts_.plan->selection().graph();
    return graph.tensor(graph.logits()).shape.elements().value;
}

void Executor::load(CompiledProgram& program, const HostBatch& batch, std::int64_t step) {
    const std::byte* x = transfers_ ? transfers_->x() : batch.x.data();
    const std::byte* y = transfers_ ? transfers_->y() : batch.y.data();
    for (CompiledInstruction& instruction : program.instructions()) {
        instruction.context.seed = parts_.seed;
        instruction.context.step = step;
        instruction.context.loss_scale = program.program().training ? step_kernels_->loss_scale() : nullptr;
        for (const CompiledInstruction::FromBatch& from : instruction.from_batch) {
            instruction.buffers.inputs[from.input] =
                (from.target ? y : x) + instruction.first_sample * from.sample_bytes;
        }
    }
}

void Executor::run(CompiledProgram& program, StepScope& scope) {
    try {
        if (scope.captured != nullptr) {
            replay(program, scope);
        } else {
            if (scope.clock != nullptr) scope.clock->begin(*stream_);
            for (CompiledInstruction& instruction : program.instructions()) play(instruction, scope);
        }
        finish_samples(program);
    } catch (...) {
        if (transfers_) transfers_->finish_uploads();  // the batch goes with the exception
        throw;
    }
}

void Executor::play(CompiledInstruction& instruction, StepScope& scope) {
    finish_step_before(instruction, scope);
    parts_.comm->set_state(scope.inputs != nullptr ? Phase::step : Phase::evaluate, instruction.text);
    const auto begin = Clock::now();
    launch_on_stream(instruction, scope);
    const auto end = Clock::now();
    if (double* column = column_of(instruction.source->action, scope.report.times))
        *column += seconds_between(begin, end);
    trace_span(instruction.text, begin, end);
}

void Executor::launch_on_stream(CompiledInstruction& instruction, StepScope& scope) {
    LaunchClock* clock = is_of_host(instruction.source->action) ? nullptr : scope.clock;
    if (wait_for(*instruction.source) && clock != nullptr) clock->mark(*stream_, samples_label);
    execute(instruction, scope);
    if (clock != nullptr) clock->mark(*stream_, instruction.text);
    signal(*instruction.source);
}

/// The caller may give the memory of the batch back.
void Executor::finish_samples(CompiledProgram& program) {
    if (!transfers_) return;
    for (const CompiledInstruction& instruction : program.instructions()) {
        if (const auto* load = std::get_if<LoadMicrobatch>(&instruction.source->action))
            transfers_->finish_samples(load->microbatch.value);
    }
}

/// What kernels of an asynchronous device wait for; sums are waited for by OptimizerStep itself.
/// True where there is something to wait for.
bool Executor::wait_for(const Instruction& instruction) {
    if (!transfers_) return false;
    bool waits = false;
    for (const Token& token : instruction.waits) {
        if (token.kind != Token::Kind::samples) continue;
        transfers_->await_samples(token.index);
        waits = true;
    }
    return waits;
}

void Executor::signal(const Instruction& instruction) {
    if (!transfers_) return;
    for (const Token& token : instruction.signals) {
        if (token.kind == Token::Kind::gradients) transfers_->gradients_ready(token.index);
    }
}

void Executor::upload(const CompiledInstruction& instruction, const HostBatch& batch, int half) {
    const layers::ModelGraph& graph = parts_.plan->selection().graph();
    // Of a forward batch the memory may hold more samples than the span says.
    const auto piece = [&](layers::TensorId id, const std::byte* samples) -> DeviceTransfers::Piece {
        const layers::TensorSpec& tensor = graph.tensor(id);
        const Bytes sample = bytes_of(tensor.shape.elements(), tensor.dtype);
        const Bytes offset = sample * instruction.first_sample;
        return {samples + offset.value, offset, sample * instruction.samples};
    };
    const auto& action = std::get<LoadMicrobatch>(instruction.source->action);
    transfers_->load(half, action.microbatch.value, piece(graph.input(), batch.x.data()),
                     piece(graph.target(), batch.y.data()));
}

void Executor::upload_next(const StepScope& scope) {
    if (!transfers_ || !scope.inputs->next) return;
    const std::optional<NextBatch> next = scope.inputs->next();
    if (!next || next->batch.samples == 0) return;
    for (const CompiledInstruction& instruction : training_program(next->kind).instructions()) {
        if (std::holds_alternative<LoadMicrobatch>(instruction.source->action))
            upload(instruction, next->batch, transfers_->other_half());
    }
    ahead_ = next->batch;
}

void Executor::forget_next() {
    if (transfers_) transfers_->finish_uploads();
    ahead_.reset();
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
    } else if (std::holds_alternative<LoadMicrobatch>(action)) {
        if (transfers_ && !scope.loaded) upload(instruction, scope.batch, transfers_->half());
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
        if (instruction.status != nullptr) record_loss(instruction, loss->add);
    } else if (std::holds_alternative<ClearGradients>(action)) {
        clear_gradients();
    } else if (const auto* sum = std::get_if<ReduceBucket>(&action)) {
        reduce(sum->bucket, scope);
    } else if (std::holds_alternative<OptimizerStep>(action)) {
        upload_next(scope);
        wait_for_sums(scope);
        commit(scope);
    }
    for (const InPlaceSum& sum : instruction.sums) step_kernels_->add(*stream_, sum);
}

MemoryReport Executor::planned_memory(const ParallelPlan& plan, int rank, const OptimizerSpec& optimizer,
                                      std::int64_t eval_batch, const Device& device) {
    const Bytes arena = bytes_of(plan.buckets().arena_elements(), DType::f32);
    MemoryReport report;
    report.parameters = arena + buffer_bytes_of(plan.selection().graph());
    report.optimizer_state = arena * static_cast<std::int64_t>(state_names(optimizer).size());
    report.gradients = bytes_of(plan.gradient_elements(rank), DType::f32);
    report.arena = training_arena(plan, rank, eval_batch);
    report.apart = device.asynchronous();
    if (!report.apart) return report;
    const BatchBytes batch = batch_bytes(plan, rank, eval_batch);
    report.batch = (batch.x + batch.y) * std::int64_t{DeviceTransfers::halves};
    report.host_state = report.parameters + report.optimizer_state;
    report.host_sums = std::exchange(report.gradients, bytes_of(plan.device_gradients(rank), DType::f32));
    report.device_sums = SumChoice::extra_bytes(plan, rank);
    report.step_tables = step_table_bytes(plan, optimizer);
    return report;
}

}  // namespace trireme
