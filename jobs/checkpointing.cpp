#include "jobs/checkpointing.hpp"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/checkpoint/checkpoint.hpp"
#include "io/checkpoint/folder.hpp"
#include "jobs/version.hpp"
#include "runtime/core/alignment.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view params_prefix = "params/";

std::vector<io::SavedSlice> slices_of(const ModelState& state) {
    std::vector<io::SavedSlice> slices;
    for (const NamedTensor& tensor : state.tensors()) {
        slices.push_back(
            {io::SliceSpec::whole(tensor.name, tensor.shape, DType::f32), std::as_bytes(tensor.values)});
    }
    return slices;
}

std::string json_of(const auto& value) {
    return nlohmann::json(value).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string mode_of(const JobSpec& spec) { return spec.job.canonical ? "canonical" : "fast"; }

/// All but the hashes, which are made from the copy.
io::CheckpointMeta meta_of(const PlannedJob& job, const Position& position, const Metrics& metrics) {
    const io::DataSetInfo& data = *job.data();
    nlohmann::json libraries = nlohmann::json::object();
    for (const auto& [name, version] : versions()) libraries[name] = version;
    io::CheckpointMeta meta{
        {"step", json_of(position.step)},
        {"epoch", json_of(position.cursor.epoch)},
        {"step_in_epoch", json_of(position.cursor.step_in_epoch)},
        {"skipped_steps", json_of(position.skipped)},
        {"evaluations_without_gain", json_of(position.without_gain)},
        {"best_val_loss", json_of(position.best_val_loss)},  // null before the first evaluation
        {"seed", json_of(job.spec().job.seed)},
        {"batch", json_of(job.spec().data.batch)},
        {"virtual_shards", json_of(job.plan().shards().shards())},
        {"optimizer", json_of(job.spec().optimizer.name)},
        {"deterministic", json_of(mode_of(job.spec()))},
        {"precision", json_of(job.spec().precision.compute)},
        {"data_set", json_of(data.fingerprint)},
        // What a prediction needs of the data that the network was trained on.
        {"sample_shape", json_of(data.sample_shape.dims())},
        {"target_kind", json_of(data.target_kind)},
        {"target_shape", json_of(data.target_shape.dims())},
        {"classes", json_of(data.classes)},
        {"class_names", json_of(data.class_names)},
        {"mean", json_of(data.mean)},
        {"stddev", json_of(data.stddev)},
        {"device", json_of(job.device().kind())},
        {"threads", json_of(job.selection().threads())},
        {"world", json_of(job.world())},
        {"versions", libraries.dump()},
    };
    if (position.scale) {
        meta["loss_scale"] = json_of(position.scale->value);
        meta["good_in_a_row"] = json_of(position.scale->good_in_a_row);
    }
    for (const auto& [name, value] : metrics) meta[name] = json_of(value);
    return meta;
}

/// The hashes of a state, from its tensors in the order of ModelState::tensors.
void add_hashes(io::CheckpointMeta& meta, std::span<const io::SavedSlice> slices, const std::string& cursor) {
    Sha256 params;
    Sha256 state;
    for (const io::SavedSlice& slice : slices) {
        if (slice.spec.name.starts_with(params_prefix)) params.update(slice.data);
        state.update(slice.data);
    }
    state.update(cursor);
    meta["params_sha256"] = json_of(params.finish());
    meta["state_sha256"] = json_of(state.finish());
}

std::int64_t integer_of(const io::CheckpointReader& reader, const std::string& key, const fs::path& folder) {
    const auto found = reader.meta().find(key);
    const auto value = found == reader.meta().end() ? std::nullopt : parse_integer(found->second);
    if (!value)
        throw DataError(
            fmt::format("{}: its index has no whole number {}: it is no checkpoint of a training run",
                        folder.string(), key));
    return *value;
}

void require_same(const io::CheckpointReader& reader, const fs::path& folder, const std::string& key,
                  const std::string& job_key, std::int64_t wanted) {
    const std::int64_t saved = integer_of(reader, key, folder);
    if (saved == wanted) return;
    throw ConfigError(
        fmt::format("{}: saved with {} = {}, the job says {}: results would not be those of one run. Set it "
                    "back, or start anew with "
                    "--checkpoint.resume never and another job.output",
                    folder.string(), job_key, saved, wanted));
}

/// Results may differ in bits where the kernels do: that is told, not refused.
void warn_of_other_kernels(const io::CheckpointReader& reader, const fs::path& folder,
                           const PlannedJob& job) {
    const auto differs = [&](const char* key, const std::string& now) {
        const auto found = reader.meta().find(key);
        if (found != reader.meta().end() && found->second != now)
            log::warn("{}: saved with {} {}, now {}: bits may differ from an undisturbed run",
                      folder.string(), key, found->second, now);
    };
    differs("device", json_of(job.device().kind()));
    differs("deterministic", json_of(mode_of(job.spec())));
    differs("precision", json_of(job.spec().precision.compute));
    if (job.spec().job.canonical) differs("threads", json_of(job.selection().threads()));
}

const io::SliceSpec* find_tensor(const io::CheckpointReader& reader, const std::string& name) {
    for (const io::SliceSpec& slice : reader.slices()) {
        if (slice.name == name) return &slice;
    }
    return nullptr;
}

void read_tensor(const io::CheckpointReader& reader, const fs::path& folder, const NamedTensor& tensor) {
    const io::SliceSpec* slice = find_tensor(reader, tensor.name);
    if (slice == nullptr) {
        throw ConfigError(
            fmt::format("{}: has no tensor {}: the checkpoint is of another network or optimizer",
                        folder.string(), tensor.name));
    }
    if (slice->global_shape != tensor.shape) {
        throw ConfigError(fmt::format(
            "{}: {} has shape {} there and {} in this model: the checkpoint is of another network",
            folder.string(), tensor.name, slice->global_shape.str(), tensor.shape.str()));
    }
    reader.read(io::SliceSpec::whole(tensor.name, tensor.shape, DType::f32),
                std::as_writable_bytes(tensor.values));
}

bool is_of_optimizer(const NamedTensor& tensor) { return tensor.name.starts_with("optimizer/"); }

/// Numbers that checkpoints of earlier versions do not have.
std::int64_t integer_or_0(const io::CheckpointReader& reader, const std::string& key,
                          const fs::path& folder) {
    return reader.meta().contains(key) ? integer_of(reader, key, folder) : 0;
}

/// None where the job that saved had none that moves: it starts anew then.
std::optional<LossScale> scale_in(const io::CheckpointReader& reader, const fs::path& folder) {
    const auto found = reader.meta().find("loss_scale");
    if (found == reader.meta().end()) return std::nullopt;
    const auto value = parse_number(found->second);
    int exponent = 0;
    constexpr LossScaling range;
    if (!value || !(*value >= range.least && *value <= range.most) || std::frexp(*value, &exponent) != 0.5)
        throw DataError(fmt::format(
            "{}: its index has the loss scale {}, which is no power of two that a scale can be: name "
            "another checkpoint",
            folder.string(), found->second));
    return LossScale{static_cast<float>(*value), integer_or_0(reader, "good_in_a_row", folder)};
}

/// What rank 0 finds, as every rank's; `find` returns an empty path for none.
fs::path decided_by_rank_0(const std::function<fs::path()>& find, double seconds, comm::Communicator& comm) {
    const std::string mine = comm.rank() == 0 ? find().string() : "";
    return comm.all_gather(mine, "choice of a checkpoint", Deadline::in_seconds(seconds)).front();
}

fs::path newest_of_run(const fs::path& dir) {
    const io::NewestGood found = io::newest_good(dir);
    const std::string instead =
        found.folder ? fmt::format("going on from {}", found.folder->string()) : "starting anew";
    for (const std::string& reason : found.incomplete) log::warn("passed over: {}; {}", reason, instead);
    if (!found.folder && !found.damaged.empty()) {
        throw DataError(
            fmt::format("{}; no checkpoint of {} is good: put one back, name one with checkpoint.resume, or "
                        "start anew with --checkpoint.resume never",
                        found.damaged.front(), dir.string()));
    }
    for (const std::string& reason : found.damaged) log::warn("passed over: {}; {}", reason, instead);
    return found.folder.value_or(fs::path());
}

}  // namespace

std::string Position::str() const {
    const std::string scaled =
        scale ? fmt::format(" loss_scale {} good_in_a_row {}", scale->value, scale->good_in_a_row) : "";
    return fmt::format("step {} epoch {} step_in_epoch {} skipped {}{}", step, cursor.epoch,
                       cursor.step_in_epoch, skipped, scaled);
}

Bytes checkpoint_copy_bytes(const layers::ModelGraph& graph, const OptimizerSpec& optimizer) {
    const auto tensors_a_param = static_cast<std::int64_t>(1 + state_names(optimizer).size());
    Bytes bytes{};
    for (const layers::ParamSpec& spec : graph.params())
        bytes += aligned(bytes_of(spec.shape.elements(), DType::f32)) * tensors_a_param;
    for (const layers::BufferSpec& spec : graph.buffers())
        bytes += aligned(bytes_of(spec.shape.elements(), DType::f32));
    return bytes;
}

Checkpointer::Checkpointer(const PlannedJob& job, const ModelState& state, comm::Communicator& comm,
                           std::int64_t start)
    : job_(job), state_(state), comm_(comm), start_(start), saved_step_(start == 0 ? -1 : start) {
    if (comm.rank() != 0) return;
    saver_.emplace(checkpoint_copy_bytes(job.graph(), job.spec().optimizer));
    if (const auto& minutes = job.spec().checkpoint.every_minutes)
        clock_.emplace(std::chrono::minutes(*minutes), Clock::now());
}

bool Checkpointer::is_due(const Position& position, const Metrics& metrics, bool wished) const {
    const JobSpec::Checkpoint& spec = job_.spec().checkpoint;
    const bool end_of_epoch = position.cursor.step_in_epoch == 0;
    if (spec.every_steps     ? position.step % *spec.every_steps == 0
        : spec.every_minutes ? wished
                             : end_of_epoch)
        return true;
    const std::optional<double> value = metric_in(metrics);
    return value && (!best_ || io::is_better(job_.spec().checkpoint.best, *value, *best_));
}

std::optional<double> Checkpointer::metric_in(const Metrics& metrics) const {
    const auto found = metrics.find(job_.spec().checkpoint.best);
    return found == metrics.end() ? std::nullopt : std::optional(found->second);
}

io::SaveRequest Checkpointer::request(const Position& position, const Metrics& metrics) {
    const JobSpec::Checkpoint& spec = job_.spec().checkpoint;
    io::SaveRequest request;
    request.dir = folder();
    request.step = position.step;
    request.meta = [meta = meta_of(job_, position, metrics),
                    cursor = position.str()](std::span<const io::SavedSlice> slices) {
        io::CheckpointMeta complete = meta;
        add_hashes(complete, slices, cursor);
        return complete;
    };
    const io::KeepPolicy policy{spec.keep, spec.keep_every, spec.best};
    const bool first = std::exchange(first_, false);
    request.done = [dir = folder(), policy, first, start = start_, step = position.step] {
        if (first) {
            for (const std::int64_t later : io::set_aside_later(dir, start, step))
                log::warn("{}: step {} is of a course that this run has left: set aside as aside-step-{}",
                          dir.string(), later, later);
        }
        io::remove_superseded(dir, policy);
    };
    return request;
}

void Checkpointer::save(const Position& position, const Metrics& metrics) {
    if (position.step == saved_step_) return;
    const auto begin = Clock::now();
    if (clock_) clock_->saved(begin);
    const Deadline deadline = Deadline::in_seconds(job_.spec().deadline.checkpoint);
    comm_.set_state(Phase::checkpoint, "save");
    if (saver_) {
        saver_->start(request(position, metrics), slices_of(state_), deadline);
        if (!job_.spec().checkpoint.async) saver_->wait(deadline);
    }
    // Rank 0 may have waited for the save before this one: the others wait here, where the deadline is that
    // of a save, and not in the next step's sums.
    comm_.barrier("checkpoint copied", deadline);
    saved_step_ = position.step;
    const std::optional<double> value = metric_in(metrics);
    if (value && (!best_ || io::is_better(job_.spec().checkpoint.best, *value, *best_))) best_ = value;
    seconds_ += std::chrono::duration<double>(Clock::now() - begin).count();
}

void Checkpointer::check() {
    if (saver_) saver_->check();
}

void Checkpointer::finish() {
    const auto begin = Clock::now();
    const Deadline deadline = Deadline::in_seconds(job_.spec().deadline.checkpoint);
    comm_.set_state(Phase::checkpoint, "finish");
    if (saver_) saver_->wait(deadline);
    comm_.barrier("checkpoint saved", deadline);
    seconds_ += std::chrono::duration<double>(Clock::now() - begin).count();
}

std::optional<fs::path> agree_on_checkpoint(const JobSpec& spec, comm::Communicator& comm) {
    const fs::path dir = spec.job.output / "checkpoints";
    const fs::path chosen = decided_by_rank_0(
        [&]() -> fs::path {
            io::clear_leftovers(dir);
            if (spec.checkpoint.resume == "never") return {};
            if (spec.checkpoint.resume == "auto") return newest_of_run(dir);
            return io::resolve_checkpoint(spec.checkpoint.resume);
        },
        spec.deadline.checkpoint, comm);
    return chosen.empty() ? std::nullopt : std::optional(chosen);
}

fs::path agree_on_named(const fs::path& named, double seconds, comm::Communicator& comm) {
    return decided_by_rank_0([&] { return io::resolve_checkpoint(named); }, seconds, comm);
}

Position restore_checkpoint(const PlannedJob& job, ModelState& state, const fs::path& checkpoint) {
    const io::CheckpointReader reader(checkpoint);
    require_same(reader, checkpoint, "seed", "job.seed", static_cast<std::int64_t>(job.spec().job.seed));
    require_same(reader, checkpoint, "batch", "data.batch", job.spec().data.batch);
    require_same(reader, checkpoint, "virtual_shards", "parallel.virtual_shards",
                 job.plan().shards().shards());
    const auto set = reader.meta().find("data_set");
    if (set != reader.meta().end() && set->second != json_of(job.data()->fingerprint)) {
        throw ConfigError(fmt::format("{}: saved on another data set than {}", checkpoint.string(),
                                      job.data()->folder.string()));
    }
    warn_of_other_kernels(reader, checkpoint, job);
    for (const NamedTensor& tensor : state.tensors()) read_tensor(reader, checkpoint, tensor);
    state.send();
    Position position;
    position.step = integer_of(reader, "step", checkpoint);
    position.cursor.epoch = integer_of(reader, "epoch", checkpoint);
    position.cursor.step_in_epoch = integer_of(reader, "step_in_epoch", checkpoint);
    position.skipped = integer_or_0(reader, "skipped_steps", checkpoint);
    position.without_gain = integer_or_0(reader, "evaluations_without_gain", checkpoint);
    const auto best = reader.meta().find("best_val_loss");
    if (best != reader.meta().end())
        position.best_val_loss = parse_number(best->second).value_or(position.best_val_loss);
    if (job.spec().precision.loss_scale.dynamic) position.scale = scale_in(reader, checkpoint);
    return position;
}

void restore_for_evaluation(ModelState& state, const fs::path& checkpoint) {
    const io::CheckpointReader reader(checkpoint);
    for (const NamedTensor& tensor : state.tensors()) {
        if (is_of_optimizer(tensor)) continue;
        // Where the job kept a moving average of its parameters, that is the model.
        NamedTensor wanted = tensor;
        if (tensor.name.starts_with(params_prefix)) {
            const std::string average =
                fmt::format("optimizer/{}/{}", ema_state_name, tensor.name.substr(params_prefix.size()));
            if (find_tensor(reader, average) != nullptr) wanted.name = average;
        }
        read_tensor(reader, checkpoint, wanted);
    }
    state.send();
}

std::vector<std::string> initialise_from(ModelState& state, const fs::path& checkpoint) {
    const io::CheckpointReader reader(checkpoint);
    std::vector<std::string> left;
    std::size_t taken = 0;
    for (const NamedTensor& tensor : state.tensors()) {
        if (is_of_optimizer(tensor)) continue;
        const io::SliceSpec* slice = find_tensor(reader, tensor.name);
        if (slice == nullptr) {
            left.push_back(fmt::format("{}: the checkpoint has no such tensor", tensor.name));
        } else if (slice->global_shape != tensor.shape) {
            left.push_back(fmt::format("{}: {} there, {} in this model", tensor.name,
                                       slice->global_shape.str(), tensor.shape.str()));
        } else {
            read_tensor(reader, checkpoint, tensor);
            ++taken;
        }
    }
    state.restart_average();
    if (taken > 0) return left;
    throw ConfigError(fmt::format("model.init_from = {}: none of its tensors fits this model ({})",
                                  checkpoint.string(), left.empty() ? "it has none" : left.front()));
}

}  // namespace trireme::jobs
