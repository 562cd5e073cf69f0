#include "jobs/bench/torch_contender.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

/// Seconds in which a peer imports its libraries, compiles its network and warms up; and of one turn.
constexpr double patience = 1800;

/// What decides the work of a step and does not show in the number of parameters.
std::vector<std::string> network_words(const PlannedJob& job) {
    const layers::ModelGraph& graph = job.graph();
    std::int64_t heads = 0;
    bool dropout = false;
    for (const layers::Node& node : graph.nodes()) {
        if (const auto* attention = std::get_if<layers::CausalSelfAttention>(&node.op))
            heads = attention->heads;
        if (const auto* drop = std::get_if<layers::Dropout>(&node.op)) dropout = dropout || drop->p > 0;
    }
    const layers::Op& loss = graph.nodes().back().op;
    const auto* entropy = std::get_if<layers::SoftmaxCrossEntropy>(&loss);
    return {fmt::format("--sample={}", fmt::join(graph.tensor(graph.input()).shape.dims(), "x")),
            fmt::format("--classes={}", graph.tensor(graph.logits()).shape.dims().back()),
            fmt::format("--heads={}", heads),
            fmt::format("--dropout={}", dropout ? 1 : 0),
            fmt::format("--loss={}", layers::name_of(loss)),
            fmt::format("--label-smoothing={}", entropy != nullptr ? entropy->label_smoothing : 0.0)};
}

std::vector<std::string> command(const TorchSetup& setup, const PlannedJob& job, int rank) {
    const JobSpec& spec = job.spec();
    if (spec.model.name.empty())
        throw ConfigError("bench train: the peer knows presets, not model.file: name one in model.name");
    const OptimizerSpec& optimizer = spec.optimizer;
    std::vector<std::string> words{
        setup.python,
        setup.script.string(),
        "--mode=" + setup.mode,
        fmt::format("--device={}", job.device().asynchronous() ? job.device().kind() : "cpu"),
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
    for (std::string& word : network_words(job)) words.push_back(std::move(word));
    return words;
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

std::vector<std::string> torch_modes(const PlannedJob& job) {
    if (job.world() > 1) return {"ddp"};
    if (job.device().asynchronous()) return {"eager", "graph", "compile"};
    return {"eager", "compile"};
}

TorchContender::TorchContender(const TorchSetup& setup, const PlannedJob& job, int rank)
    : name_("torch " + setup.mode), process_(command(setup, job, rank)), batch_(job.spec().data.batch) {
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
