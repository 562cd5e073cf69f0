#include "jobs/bench/torch_contender.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

/// Seconds in which a peer imports its libraries, compiles its network and warms up; and of one turn.
constexpr double patience = 1800;

std::vector<std::string> command(const TorchSetup& setup, const PlannedJob& job, int rank) {
    const JobSpec& spec = job.spec();
    if (spec.model.name.empty())
        throw ConfigError("bench train: the peer knows presets, not model.file: name one in model.name");
    const OptimizerSpec& optimizer = spec.optimizer;
    return {setup.python,
            setup.script.string(),
            "--mode=" + setup.mode,
            "--model=" + spec.model.name,
            fmt::format("--batch={}", spec.data.batch),
            fmt::format("--threads={}", job.selection().threads()),
            "--precision=" + spec.effective.at("precision.compute"),
            "--optimizer=" + optimizer.name,
            fmt::format("--lr={}", optimizer.lr),
            fmt::format("--momentum={}", optimizer.momentum),
            fmt::format("--nesterov={}", optimizer.nesterov ? 1 : 0),
            fmt::format("--weight-decay={}", optimizer.weight_decay),
            fmt::format("--clip={}", optimizer.clip),
            fmt::format("--rank={}", rank),
            fmt::format("--world={}", job.world()),
            "--meeting=" + setup.meeting.string()};
}

nlohmann::json answer(PeerProcess& process) {
    const std::string line = process.hear(Deadline::in_seconds(patience));
    const nlohmann::json json = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!json.is_object()) throw ConfigError(fmt::format("the peer said what is no answer: {}", line));
    if (json.contains("error"))
        throw ConfigError(fmt::format("the peer refuses: {}", json["error"].get<std::string>()));
    return json;
}

}  // namespace

std::vector<std::string> torch_modes(int world) {
    return world > 1 ? std::vector<std::string>{"ddp"} : std::vector<std::string>{"eager", "compile"};
}

TorchContender::TorchContender(const TorchSetup& setup, const PlannedJob& job, int rank)
    : name_("torch " + setup.mode), process_(command(setup, job, rank)) {
    const nlohmann::json ready = answer(process_);
    version_ = ready.at("version");
    const std::int64_t parameters = ready.at("parameters");
    if (parameters != job.graph().parameter_count().value) {
        throw ConfigError(
            fmt::format("the peer's {} has {} parameters, the job's {}: they are not the same network",
                        job.spec().model.name, parameters, job.graph().parameter_count().value));
    }
}

Turn TorchContender::take_turn(std::int64_t steps) {
    process_.say(nlohmann::json{{"steps", steps}}.dump());
    const nlohmann::json done = answer(process_);
    Turn turn;
    turn.seconds = done.at("seconds").get<std::vector<double>>();
    if (static_cast<std::int64_t>(turn.seconds.size()) != steps)
        throw ConfigError("the peer did not take the steps that it was asked for");
    peak_memory_ = Bytes(done.at("peak_bytes").get<std::int64_t>());
    return turn;
}

}  // namespace trireme::jobs
