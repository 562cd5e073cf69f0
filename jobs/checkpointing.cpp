#include "jobs/checkpointing.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "io/checkpoint/checkpoint.hpp"
#include "jobs/version.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::jobs {
namespace {

std::string param_tensor(const layers::ParamSpec& spec) { return "params/" + spec.name; }
std::string state_tensor(const std::string& state, const layers::ParamSpec& spec) {
    return fmt::format("optimizer/{}/{}", state, spec.name);
}

std::vector<io::SavedSlice> slices_of(const ModelState& state) {
    std::vector<io::SavedSlice> slices;
    for (layers::ParamId p : state.by_name()) {
        const layers::ParamSpec& spec = state.graph().param(p);
        slices.push_back({io::SliceSpec::whole(param_tensor(spec), spec.shape, DType::f32),
                          std::as_bytes(state.param(p))});
        for (std::size_t k = 0; k < state.state_tensor_names().size(); ++k) {
            slices.push_back({io::SliceSpec::whole(state_tensor(state.state_tensor_names()[k], spec),
                                                   spec.shape, DType::f32),
                              std::as_bytes(state.state(k, p))});
        }
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

void read_parameters(const io::CheckpointReader& reader, const std::filesystem::path& folder,
                     ModelState& state) {
    for (layers::ParamId p : state.by_name()) {
        const layers::ParamSpec& spec = state.graph().param(p);
        read_tensor(reader, folder, param_tensor(spec), spec.shape, state.param(p));
    }
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
    return fmt::format("step {} epoch {} step_in_epoch {}", step, cursor.epoch, cursor.step_in_epoch);
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
    read_parameters(reader, checkpoint, state);
    for (std::size_t k = 0; k < state.state_tensor_names().size(); ++k) {
        for (layers::ParamId p : state.by_name()) {
            const layers::ParamSpec& spec = state.graph().param(p);
            read_tensor(reader, checkpoint, state_tensor(state.state_tensor_names()[k], spec), spec.shape,
                        state.state(k, p));
        }
    }
    Position position;
    position.step = integer_of(reader, "step", checkpoint);
    position.cursor.epoch = integer_of(reader, "epoch", checkpoint);
    position.cursor.step_in_epoch = integer_of(reader, "step_in_epoch", checkpoint);
    return position;
}

void restore_parameters(ModelState& state, const std::filesystem::path& checkpoint) {
    read_parameters(io::CheckpointReader(checkpoint), checkpoint, state);
}

}  // namespace trireme::jobs
