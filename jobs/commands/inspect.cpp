#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "jobs/commands/commands.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/planned_backends.hpp"

namespace trireme::jobs {
namespace {

const std::vector<std::string> views{"graph", "plan", "program", "memory", "all"};

CommandSyntax inspect_syntax() {
    CommandSyntax s;
    s.usage =
        "trireme inspect JOB --world N [--what graph|plan|program|memory|all] [--rank R] "
        "[--device cpu|cuda|reference] [--sm 90] [--json] [--section.key value ...]";
    s.about =
        "Shows what a job would do on N ranks: graph, plan, program and memory of a rank. Needs no MPI, no "
        "device and no data.";
    s.example = "trireme inspect jobs/recipes/lenet-mnist.cfg --world 4 --what all";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {{"world", true, "ranks of the job [1]"},
               {"what", true, "graph, plan, program, memory or all [all]"},
               {"rank", true, "the rank whose program and memory are shown [0]"},
               {"device", true, "what the ranks would drive, instead of job.device"},
               {"sm", true, "with --device cuda: compute capability of the GPU, times ten [90]"},
               {"json", false, "print one JSON object"}};
    return s;
}

nlohmann::ordered_json memory_json(const MemoryReport& report) {
    return {{"parameters", report.parameters.value},
            {"optimizer_state", report.optimizer_state.value},
            {"gradients", report.gradients.value},
            {"arena", report.arena.value},
            {"batch", report.batch.value},
            {"device_sums", report.device_sums.value},
            {"step_tables", report.step_tables.value},
            {"on_device", report.on_device().value},
            {"host_state", report.host_state.value},
            {"host_sums", report.host_sums.value},
            {"data", report.data.value},
            {"checkpoint", report.checkpoint.value},
            {"total", report.total().value}};
}

/// A GPU that the job or --device names is described, not asked for: its plan is the same on a machine
/// without one. (job.device = auto is what this machine has.)
PlannedJob planned(const Arguments& arguments, int world) {
    std::map<std::string, Setting> settings = arguments.job_settings;
    if (arguments.has("device"))
        settings["job.device"] = {arguments.value("device"), "command line: --device"};
    JobSpec spec = load_job(arguments.positional.front(), settings);
    const int threads = static_cast<int>(spec.job.threads.value_or(automatic_threads()));
    if (spec.job.device != "cuda") {
        if (arguments.has("sm"))
            throw ConfigError("command line: --sm describes a GPU: add --device cuda, or leave it out");
        return PlannedJob(std::move(spec), world, threads, DataUse::if_there);
    }
    const int sm = static_cast<int>(whole_number(arguments, "sm", "90", 10, 999));
    Backend backend = planned_cuda_backend(sm, spec.numerics());
    return PlannedJob(std::move(spec), world, threads, DataUse::if_there, std::move(backend));
}

int run_inspect(const Arguments& arguments) {
    const std::string what = arguments.value("what", "all");
    if (what == "schedule" || what == "time")
        throw ConfigError(fmt::format("command line: --what {} is not available yet in this version", what));
    if (std::find(views.begin(), views.end(), what) == views.end()) {
        throw ConfigError(fmt::format("command line: --what = {}: must be one of {}{}", what,
                                      "graph, plan, program, memory, all", did_you_mean(what, views)));
    }
    const int world = static_cast<int>(whole_number(arguments, "world", "1", 1, 1 << 20));
    const int rank = static_cast<int>(whole_number(arguments, "rank", "0", 0, world - 1));
    const PlannedJob job = planned(arguments, world);
    verify(job.plan());

    const auto wanted = [&](const char* view) { return what == "all" || what == view; };
    std::vector<std::pair<std::string, std::string>> parts;
    if (wanted("graph")) parts.emplace_back("graph", job.graph_text());
    // Cores are those of this machine; a GPU is assumed.
    const std::string device =
        job.device().asynchronous() ? fmt::format("device: {}\n", job.device().describe()) : "";
    if (wanted("plan")) parts.emplace_back("plan", device + job.plan_text());
    if (wanted("program")) parts.emplace_back("program", job.program_text(rank));
    if (wanted("memory")) parts.emplace_back("memory", job.memory_text(rank));
    if (arguments.has("json")) {
        nlohmann::ordered_json json{{"schema", 1},
                                    {"world", world},
                                    {"rank", rank},
                                    {"parameters", job.graph().parameter_count().value},
                                    {"memory", memory_json(job.memory(rank))}};
        for (const auto& [name, text] : parts)
            json[name == "memory" ? "memory_text" : name] = split(text, '\n');
        fmt::print("{}\n", json.dump(2));
    } else {
        for (const auto& [name, text] : parts) fmt::print("{}\n", text);
    }
    return 0;
}

}  // namespace

Command inspect_command() { return {"inspect", inspect_syntax(), run_inspect}; }

}  // namespace trireme::jobs
