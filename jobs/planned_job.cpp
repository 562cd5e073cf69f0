#include "jobs/planned_job.hpp"

#include <fmt/format.h>

#include "io/import/text_import.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/models/gpt.hpp"
#include "jobs/models/model_spec.hpp"
#include "jobs/version.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/optim/param_groups.hpp"

namespace trireme::jobs {
namespace {

std::optional<io::DataSetInfo> open_data(const JobSpec& spec, DataUse use, std::string& note) {
    if (spec.data.path.empty()) {
        if (use == DataUse::required)
            throw ConfigError(
                "data.path is missing: name the folder of a data set (trireme data import makes one)");
        note = "no data set named: planned for full steps";
        return std::nullopt;
    }
    if (use == DataUse::if_there && !std::filesystem::exists(spec.data.path)) {
        note = fmt::format("no data set at {}: planned for full steps", spec.data.path.string());
        return std::nullopt;
    }
    return io::open_data_set(spec.data.path);
}

/// A stream of tokens in windows of the length that the network takes; others as they are.
std::optional<io::DataSetInfo> in_windows(std::optional<io::DataSetInfo> data, const ModelSpec& model) {
    const std::optional<std::int64_t> context = token_context(model);
    if (!data || !data->is_stream() || !context) return data;
    return io::with_windows(std::move(*data), *context);
}

/// The network's two ends follow the data set; what the job or a model file says of them must agree.
ModelSpec fitted(ModelSpec model, const std::optional<io::DataSetInfo>& data) {
    if (data) model.data = model_data(*data);
    return model;
}

ParallelSpec parallel_spec(const JobSpec& spec, int world) {
    ParallelSpec parallel;
    parallel.data = static_cast<int>(spec.parallel.data.value_or(world));
    parallel.batch = spec.data.batch;
    parallel.microbatches = spec.parallel.microbatches;
    parallel.virtual_shards = spec.parallel.virtual_shards;
    parallel.bucket_bytes = spec.parallel.bucket_bytes;
    parallel.algorithm = spec.parallel.algorithm;
    parallel.path = spec.parallel.path;
    parallel.recompute = spec.parallel.recompute;
    parallel.canonical = spec.job.canonical;
    return parallel;
}

/// Samples of an evaluation that a rank computes at once. In canonical mode the rank count may not decide
/// what a kernel is given.
std::int64_t eval_rows_of(const JobSpec& spec, int world) {
    const std::int64_t parts = spec.job.canonical ? leaves_of(parallel_spec(spec, world)) : world;
    return (spec.data.eval_batch + parts - 1) / parts;
}

LaunchLimits launch_limits(const JobSpec& spec, int world) {
    return {std::max(largest_launch(parallel_spec(spec, world)), eval_rows_of(spec, world)),
            spec.job.workspace_cap};
}

std::optional<std::int64_t> training_samples(const std::optional<io::DataSetInfo>& data) {
    if (!data) return std::nullopt;
    return data->split("train").samples;
}

std::string memory_row(std::string_view what, Bytes bytes, std::string_view note = "") {
    return fmt::format("  {:<18} {:>14} bytes  {:>11}  {}\n", what, bytes.value, human_bytes(bytes), note);
}

}  // namespace

bool has_samples(const io::DataSetInfo& data, const std::string& split) {
    const auto found = data.splits.find(split);
    return found != data.splits.end() && found->second.samples > 0;
}

PlannedJob::PlannedJob(JobSpec spec, int world, int threads, DataUse use)
    : PlannedJob(spec, world, threads, use, make_backend(spec.job.device, threads, spec.numerics())) {}

PlannedJob::PlannedJob(JobSpec spec, int world, int threads, DataUse use, Backend backend)
    : spec_(std::move(spec)),
      data_(in_windows(open_data(spec_, use, data_note_), spec_.model)),
      backend_(std::move(backend)) {
    rewrite(layers::fuse(build_model(fitted(spec_.model, data_))));
    if (backend_.fuses_feed_forward) rewrite(layers::fuse_feed_forward(*graph_));
    if (spec_.precision.storage != DType::f32) rewrite(layers::store_as(*graph_, spec_.precision.storage));
    if (backend_.joins_norms)
        rewrite(layers::fuse_conv_norms(*graph_, backend_.joins_norms(launch_limits(spec_, world))));
    (void)param_settings(spec_.optimizer,
                         *graph_);  // a group that matches nothing is told before anything runs
    selection_ = std::make_unique<Selection>(*graph_, backend_.providers,
                                             SelectionOptions{threads, spec_.job.workspace_cap});
    plan_ = std::make_unique<ParallelPlan>(*selection_, parallel_spec(spec_, world), world,
                                           training_samples(data_));
    if (!backend_.device->asynchronous()) {
        const std::string refusal = refusal_of_host_path(spec_.parallel.path, backend_.device->kind());
        if (!refusal.empty()) throw ConfigError(refusal);
    }
    if (!spec_.job.memory_limit) return;
    for (int rank = 0; rank < world; ++rank) {
        const MemoryReport report = memory(rank);
        const Bytes needed = report.apart ? report.on_device() : report.total();
        if (needed <= *spec_.job.memory_limit) continue;
        throw ConfigError(
            fmt::format("rank {} needs {}{} but job.memory_limit is {}: lower data.batch, raise "
                        "parallel.microbatches, set parallel.recompute to auto, or use more ranks (trireme "
                        "inspect --what memory shows the parts)",
                        rank, human_bytes(needed), report.apart ? " on its device" : "",
                        human_bytes(*spec_.job.memory_limit)));
    }
}

void PlannedJob::rewrite(layers::Rewritten rewritten) {
    rewrites_.insert(rewrites_.end(), rewritten.lines.begin(), rewritten.lines.end());
    graph_ = std::make_unique<layers::ModelGraph>(std::move(rewritten.graph));
}

void PlannedJob::tune(comm::Communicator& comm) {
    // Rank 0 measures for minutes where it knows nothing: one graph of a library takes about a second.
    constexpr double longest_seconds = 3600;
    bool learnt = false;
    for (const auto& provider : backend_.providers) {
        if (!provider->chooses_plans()) continue;
        const std::string mine = comm.rank() == 0 ? provider->measure_plans() : "";
        provider->adopt_plans(
            comm.all_gather(mine, "measured plans", Deadline::in_seconds(longest_seconds)).front());
        learnt = true;
    }
    if (learnt) selection_->forget_kernels();
}

std::int64_t PlannedJob::horizon() const {
    if (spec_.job.steps) return *spec_.job.steps;
    return spec_.job.epochs.value_or(1) * plan_->shards().steps_per_epoch();
}

std::int64_t PlannedJob::eval_rows() const { return eval_rows_of(spec_, world()); }

Bytes PlannedJob::data_memory(int rank) const {
    io::LoaderGeometry geometry;  // without a data set: bytes for samples, a class for a target
    geometry.sample_elements = graph_->tensor(graph_->input()).shape.elements().value;
    geometry.sample_bytes = geometry.sample_elements;
    if (token_context(spec_.model)) {  // a stream of bytes in its smallest blocks
        geometry.target_elements = geometry.sample_elements;
        geometry.target_bytes = 0;
        geometry.block_tokens = io::block_tokens_for(0);
    }
    if (data_) geometry = io::geometry_of(*data_, 0, 0);
    geometry.batch_samples = plan_->rank_samples(rank, StepKind::full);
    geometry.runs = plan_->owned(rank).size();
    const Bytes training = io::planned_bytes(geometry, spec_.data.loader);
    if (!data_ || !has_samples(*data_, "val") || spec_.telemetry.eval_every == 0) return training;
    geometry.batch_samples = eval_rows();
    geometry.runs = 1;
    return training + io::planned_bytes(geometry, spec_.data.loader);
}

io::LoaderOptions PlannedJob::loader_options() const {
    io::LoaderOptions options = spec_.data.loader;
    if (device().asynchronous()) options.memory = &device().staging();
    return options;
}

MemoryReport PlannedJob::memory(int rank) const {
    MemoryReport report =
        Executor::planned_memory(*plan_, rank, spec_.optimizer, eval_rows(), *backend_.device);
    report.data = data_memory(rank);
    if (rank == 0) report.checkpoint = checkpoint_copy_bytes(*graph_, spec_.optimizer);
    return report;
}

std::string PlannedJob::graph_text() const {
    std::string text = "graph:\n" + graph_->str();
    for (const std::string& line : rewrites_) text += "  rewrite: " + line + '\n';
    return text;
}

std::string PlannedJob::plan_text() const {
    std::string text = fmt::format("plan for {} rank(s) on {}, {} kernel thread(s) each\n", world(),
                                   backend_.device->kind(), selection_->threads());
    if (!data_note_.empty()) text += data_note_ + '\n';
    const std::int64_t rows = std::max<std::int64_t>(
        plan_->microbatches(0, StepKind::full).empty() ? 1 : plan_->microbatches(0, StepKind::full).front(),
        1);
    return text + plan_->str() +
           fmt::format("kernels (micro-batch of {}, at most {} of scratch a launch):\n", rows,
                       human_bytes(spec_.job.workspace_cap)) +
           selection_->str(rows, /*training=*/true);
}

std::string PlannedJob::program_text(int rank) const {
    std::string text = fmt::format("program of rank {} (full step):\n", rank) +
                       plan_->program(rank, StepKind::full).str(*graph_);
    if (plan_->has_short_step()) {
        text += fmt::format("program of rank {} (last step of an epoch):\n", rank) +
                plan_->program(rank, StepKind::short_last).str(*graph_);
    }
    return text;
}

std::string PlannedJob::memory_text(int rank) const {
    const MemoryReport report = memory(rank);
    const MemoryPlan step = plan_memory(plan_->program(rank, StepKind::full), *selection_);
    std::string text = fmt::format("memory of rank {}:\n", rank);
    text += memory_row("parameters", report.parameters);
    text += memory_row("optimizer state", report.optimizer_state);
    text += memory_row("gradients", report.gradients);
    text += memory_row("arena", report.arena,
                       fmt::format("(a full step needs {}, lower bound {})", human_bytes(step.size),
                                   human_bytes(step.lower_bound)));
    if (backend_.device->asynchronous()) {
        text += memory_row("batch", report.batch);
        if (report.device_sums.value > 0) text += memory_row("sums on device", report.device_sums, "at most");
        text += memory_row("tables of a step", report.step_tables);
        text += memory_row("peak on device", report.on_device(), "beside the driver's context and libraries");
        text += memory_row("copy of state", report.host_state, "on the host, as all below");
        text += memory_row("sums over ranks", report.host_sums, "pinned");
    }
    text += memory_row("data pipeline", report.data);
    text += memory_row("checkpoint copy", report.checkpoint);
    text += memory_row("total", report.total(), "beside the process itself: code, libraries, MPI");
    text += "arena of a full step:\n";
    for (std::size_t i = 0; i < step.buffers.size(); ++i) {
        const BufferLife& life = step.buffers[i];
        text += fmt::format("  {:>10}  {:>10}  #{:<4} to #{:<4} {}\n", step.offsets[i].value, life.size.value,
                            life.first, life.last, life.name);
    }
    return text;
}

std::vector<std::pair<std::string, std::string>> PlannedJob::fingerprints() const {
    std::string programs;
    for (int rank = 0; rank < world(); ++rank) programs += program_text(rank);
    return {
        {"version", version_text()},
        {"job", hex64(xxh3(spec_.canonical_text()))},
        {"data set", data_ ? data_->fingerprint : "none"},
        {"graph", hex64(xxh3(graph_text()))},
        {"plan", hex64(xxh3(plan_text()))},
        {"programs", hex64(xxh3(programs))},
    };
}

ExecutorParts executor_parts(const PlannedJob& job, comm::Communicator& comm, ModelState& state) {
    ExecutorParts parts;
    parts.plan = &job.plan();
    parts.rank = comm.rank();
    parts.state = &state;
    parts.device = &job.device();
    parts.step_kernels = job.step_kernels();
    parts.loss_scaling = job.spec().precision.loss_scale;
    parts.comm = &comm;
    parts.seed = job.spec().job.seed;
    parts.capture = job.spec().job.capture;
    parts.eval_batch = job.eval_rows();
    return parts;
}

}  // namespace trireme::jobs
