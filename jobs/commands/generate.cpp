#include <cstdio>

#include <fmt/format.h>

#include "io/tokenizer.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/generation.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t most_tokens = 1'000'000;
constexpr double highest_temperature = 100;

CommandSyntax generate_syntax() {
    CommandSyntax s;
    s.usage =
        "trireme generate JOB --checkpoint DIR --prompt TEXT [--tokens N] [--temperature T] [--seed S] "
        "[--section.key value ...]";
    s.about =
        "Writes text: the prompt, and what the checkpoint's network puts behind it, token by token. The same "
        "seed gives the same text. The tokenizer is that of the job's data set.";
    s.example =
        "trireme generate jobs/recipes/gpt-char.cfg --checkpoint runs/gpt-char/checkpoints --prompt ROMEO: "
        "--tokens 300 --temperature 0.8";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {
        {"checkpoint", true, "checkpoint folder, or a folder of checkpoints: the newest good one is taken"},
        {"prompt", true, "the text to go on from"},
        {"tokens", true, "how many tokens to write [200]"},
        {"temperature", true, "0: always the most probable token; 1: as the network says; above: bolder [1]"},
        {"seed", true, "of the draws [0]"}};
    return s;
}

GenerationSetup setup_of(const Arguments& arguments) {
    Diagnostics diagnostics;
    const auto refuse = [&](const char* flag, const std::string& rule) {
        diagnostics.add({"command line", std::string("--") + flag, arguments.value(flag), rule});
    };
    for (const char* flag : {"checkpoint", "prompt"}) {
        if (arguments.value(flag).empty()) refuse(flag, "is missing");
    }
    const auto tokens = parse_integer(arguments.value("tokens", "200"));
    if (!tokens || *tokens < 1 || *tokens > most_tokens)
        refuse("tokens", fmt::format("must be a whole number from 1 to {}", most_tokens));
    const auto temperature = parse_number(arguments.value("temperature", "1"));
    if (!temperature || *temperature < 0 || *temperature > highest_temperature)
        refuse("temperature", fmt::format("must be a number from 0 to {}", highest_temperature));
    const auto seed = parse_integer(arguments.value("seed", "0"));
    if (!seed || *seed < 0) refuse("seed", "must be a whole number of at least 0");
    diagnostics.raise();
    GenerationSetup setup;
    setup.tokens = *tokens;
    setup.temperature = *temperature;
    setup.seed = static_cast<std::uint64_t>(*seed);
    return setup;
}

/// The job as far as one forward pass of one sample needs it: its training batch and optimizer would take
/// memory for nothing.
JobSpec reduced(JobSpec spec) {
    spec.data.batch = 1;
    spec.data.eval_batch = 1;
    spec.job.canonical = false;
    spec.job.memory_limit.reset();
    spec.parallel = {};
    spec.optimizer = {};
    return spec;
}

io::Tokenizer tokenizer_for(const PlannedJob& job, std::int64_t vocabulary) {
    if (job.data()) return io::tokenizer_of(*job.data());
    if (vocabulary == io::Tokenizer::bytes().vocabulary()) return io::Tokenizer::bytes();
    throw ConfigError(fmt::format(
        "data.path: there is no data set, whose tokenizer is needed to write text with {} different "
        "tokens: name the one that the network was trained on",
        vocabulary));
}

int write_text(const Arguments& arguments, const PlannedJob& job, GenerationSetup setup,
               comm::Communicator& comm) {
    const layers::ModelGraph& graph = job.graph();
    if (output_kind(graph) != OutputKind::tokens) {
        throw ConfigError(fmt::format(
            "command line: generate: the network {} does not predict tokens: name a job with a gpt preset",
            graph.name()));
    }
    setup.context = graph.tensor(graph.input()).shape[0];
    const std::int64_t outputs = graph.tensor(graph.logits()).shape[1];
    const io::Tokenizer tokenizer = tokenizer_for(job, outputs);
    setup.vocabulary = std::min(outputs, tokenizer.vocabulary());
    const std::string& prompt = arguments.value("prompt");
    std::vector<std::int32_t> tokens = tokenizer.encode(prompt);

    ModelState state(graph, job.plan().buckets(), job.spec().optimizer, job.device());
    restore_for_evaluation(
        state, agree_on_named(arguments.value("checkpoint"), job.spec().deadline.checkpoint, comm));
    Executor executor(executor_parts(job, comm, state));
    fmt::print("{}", prompt);
    generate(executor, std::move(tokens), setup, [&](std::int32_t token) {
        fmt::print("{}", tokenizer.decode({&token, 1}));
        std::fflush(stdout);
    });
    fmt::print("\n");
    return 0;
}

int run_generate(const Arguments& arguments) {
    const GenerationSetup setup = setup_of(arguments);
    if (comm::launcher_size() > 1) {
        throw ConfigError(
            fmt::format("command line: generate: runs on one rank, but {} were started: leave mpirun out",
                        comm::launcher_size()));
    }
    RankJob asked = load_rank_job(arguments);
    const PlannedJob job(reduced(std::move(asked.spec)), 1, asked.threads, DataUse::if_there);
    return run_joined(job.spec().deadline.join, {},
                      [&](comm::Communicator& comm) { return write_text(arguments, job, setup, comm); });
}

}  // namespace

Command generate_command() { return {"generate", generate_syntax(), run_generate}; }

}  // namespace trireme::jobs
