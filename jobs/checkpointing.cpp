#include "jobs/checkpointing.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/checkpoint/checkpoint.hpp"
#include "jobs/version.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::jobs {
namespace {

std::vector<io::SavedSlice> slices_of(const ModelState& state) {
    std::vector<io::SavedSlice> slices;
    for (const NamedTensor& tensor : state.tensors()) {
        slices.push_back(
            {io::SliceSpec::whole(tensor.name, tensor.shape, DType::f32), std::as_bytes(tensor.values)});
    }
    return slices;
}

io::CheckpointMeta meta_of(const PlannedJob& job, const ModelState& state, const Position& position) {
    nlohmann::json libraries = nlohmann::json::object();
    for (const auto& [name, version] : versions()) libraries[name] = version;
    const auto text = [](const auto& value) { return nlohmann::json(value).dump(); };
    return {
        {"step", text(position.step)},
        {"epoch", text(position.cursor.epoch)},
        {"step_in_epoch", text(position.cursor.step_in_epoch)},
        {"skipped_steps", text(position.skipped)},
        {"evaluations_without_gain", text(position.without_gain)},
        {"best_val_loss", text(position.best_val_loss)},
        {"seed", text(job.spec().job.seed)},
        {"batch", text(job.spec().data.batch)},
        {"virtual_shards", text(job.plan().shards().shards())},
        {"optimizer", text(job.spec().optimizer.name)},
        {"data_set", text(job.data()->fingerprint)},
        {"world", text(job.world())},
        {"params_sha256", text(state.params_sha256())},
        {"state_sha256", text(state.state_sha256(position.str()))},
        {"versions", libraries.dump()},
    };
}

std::int64_t integer_of(const io::CheckpointReader& reader, const std::string& key,
                        const std::filesystem::path& folder) {
    const auto found = reader.meta().find(key);
    const auto value = found == reader.meta().end() ? std::nullopt : parse_integer(found->second);
    if (!value)
        throw DataError(
            fmt::format("{}: its index has no whole number {}: it is no checkpoint of a training run",
                        folder.string(), key));
    return *value;
}

void require_same(const io::CheckpointReader& reader, const std::filesystem::path& folder,
                  const std::string& key, const std::string& job_key, std::int64_t wanted) {
    const std::int64_t saved = integer_of(reader, key, folder);
    if (saved == wanted) return;
    throw ConfigError(
        fmt::format("{}: saved with {} = {}, the job says {}: results would not be those of one run. Set it "
                    "back, or start anew with "
                    "--checkpoint.resume never and another job.output",
                    folder.string(), job_key, saved, wanted));
}

void read_tensor(const io::CheckpointReader& reader, const std::filesystem::path& folder,
                 const std::string& name, const Shape& shape, std::span<float> out) {
    for (const io::SliceSpec& slice : reader.slices()) {
        if (slice.name != name) continue;
        if (slice.global_shape != shape) {
            throw ConfigError(fmt::format(
                "{}: {} has shape {} there and {} in this model: the checkpoint is of another network",
                folder.string(), name, slice.global_shape.str(), shape.str()));
        }
        reader.read(io::SliceSpec::whole(name, shape, DType::f32), std::as_writable_bytes(out));
        return;
    }
    throw ConfigError(fmt::format("{}: has no tensor {}: the checkpoint is of another network or optimizer",
                                  folder.string(), name));
}

bool has_tensor(const io::CheckpointReader& reader, const std::string& name) {
    return std::any_of(reader.slices().begin(), reader.slices().end(),
                       [&](const io::SliceSpec& slice) { return slice.name == name; });
}

/// The best loss so far is a number, or null where no evaluation has been made.
double best_loss_of(const io::CheckpointReader& reader) {
    const auto found = reader.meta().find("best_val_loss");
    const auto value = found == reader.meta().end() ? std::nullopt : parse_number(found->second);
    return value.value_or(std::numeric_limits<double>::infinity());
}

void remove_oldest(const std::filesystem::path& folder, std::int64_t keep) {
    const auto completed = io::completed_checkpoints(folder);
    for (std::size_t i = static_cast<std::size_t>(keep); i < completed.size(); ++i) {
        std::error_code error;
        std::filesystem::remove_all(completed[i], error);
        if (error)
            log::warn("{}: an old checkpoint cannot be removed: {}", completed[i].string(), error.message());
    }
}

}  // namespace

std::string Position::str() const {
    return fmt::format("step {} epoch {} step_in_epoch {} skipped {}", step, cursor.epoch,
                       cursor.step_in_epoch, skipped);
}

std::optional<std::filesystem::path> find_checkpoint(const JobSpec& spec) {
    if (spec.checkpoint.resume == "never") return std::nullopt;
    if (spec.checkpoint.resume != "auto") return std::filesystem::path(spec.checkpoint.resume);
    const std::filesystem::path folder = spec.job.output / "checkpoints";
    if (!std::filesystem::is_directory(folder)) return std::nullopt;
    const auto completed = io::completed_checkpoints(folder);
    if (completed.empty()) return std::nullopt;
    return completed.front();
}

void save_checkpoint(const PlannedJob& job, const ModelState& state, const Position& position,
                     const std::filesystem::path& folder, comm::Communicator& comm) {
    comm.set_state(Phase::checkpoint, "save");
    if (comm.rank() == 0) {  // parameters and state are the same on all ranks: replica 0 writes
        io::write_part(folder, position.step, 0, slices_of(state));
        io::commit(folder, position.step, 1, meta_of(job, state, position));
        remove_oldest(folder, job.spec().checkpoint.keep);
    }
    comm.barrier("checkpoint saved", Deadline::in_seconds(job.spec().deadline.checkpoint));
}

Position restore_checkpoint(const PlannedJob& job, ModelState& state,
                            const std::filesystem::path& checkpoint) {
    const io::CheckpointReader reader(checkpoint);
    require_same(reader, checkpoint, "seed", "job.seed", static_cast<std::int64_t>(job.spec().job.seed));
    require_same(reader, checkpoint, "batch", "data.batch", job.spec().data.batch);
    require_same(reader, checkpoint, "virtual_shards", "parallel.virtual_shards",
                 job.plan().shards().shards());
    const auto set = reader.meta().find("data_set");
    if (set != reader.meta().end() && set->second != nlohmann::json(job.data()->fingerprint).dump()) {
        throw ConfigError(fmt::format("{}: saved on another data set than {}", checkpoint.string(),
                                      job.data()->folder.string()));
    }
    for (const NamedTensor& tensor : state.tensors())
        read_tensor(reader, checkpoint, tensor.name, tensor.shape, tensor.values);
    Position position;
    position.step = integer_of(reader, "step", checkpoint);
    position.cursor.epoch = integer_of(reader, "epoch", checkpoint);
    position.cursor.step_in_epoch = integer_of(reader, "step_in_epoch", checkpoint);
    position.skipped = integer_of(reader, "skipped_steps", checkpoint);
    position.without_gain = integer_of(reader, "evaluations_without_gain", checkpoint);
    position.best_val_loss = best_loss_of(reader);
    return position;
}

void restore_for_evaluation(ModelState& state, const std::filesystem::path& checkpoint) {
    const io::CheckpointReader reader(checkpoint);
    for (const NamedTensor& tensor : state.tensors()) {
        const std::size_t slash = tensor.name.find('/');
        const std::string kind = tensor.name.substr(0, slash);
        if (kind == "optimizer") continue;
        // Where the job kept a moving average of its parameters, that is the model.
        const std::string average = fmt::format("optimizer/{}{}", ema_state_name, tensor.name.substr(slash));
        const bool averaged = kind == "params" && has_tensor(reader, average);
        read_tensor(reader, checkpoint, averaged ? average : tensor.name, tensor.shape, tensor.values);
    }
}

}  // namespace trireme::jobs
