#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "jobs/agreement.hpp"
#include "jobs/bench/meeting_folder.hpp"
#include "jobs/bench/own_contender.hpp"
#include "jobs/bench/torch_contender.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/split_json.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/quantile.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr double turn_deadline = 3600;  // seconds; other ranks' peers may take long
/// Before a turn: threads of the one before still spin for a while in search of work.
constexpr std::chrono::milliseconds pause_before_turn{30};
constexpr const char* peer_script = "tests/bench/torch_peer.py";

CommandSyntax bench_train_syntax() {
    CommandSyntax s;
    s.usage =
        "trireme bench train JOB [--steps N] [--rounds N] [--ops] [--against KEYS] [--peer torch=PYTHON] "
        "[--json] "
        "[--section.key value ...]";
    s.about =
        "Times training steps of a job, in memory: nothing is saved and no run folder is made. With "
        "--against or "
        "--peer the same machine is shared in turns, in one run, and ratios are told with their spread.";
    s.example = "trireme bench train jobs/recipes/lenet-mnist.cfg --peer torch=.venv/bin/python --steps 50";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {
        {"steps", true, "steps of a turn [20]"},
        {"rounds", true, "turns of each [10 in comparisons, else 1]"},
        {"ops", false, "a line a node and pass: time, GFLOP/s, GB/s, share of the roofline"},
        {"against", true, "the same job with other keys, in one word: \"--job.deterministic canonical\""},
        {"peer", true,
         "torch=PYTHON: PyTorch in this Python; eager and compile, on a GPU a captured step too, or DDP "
         "where "
         "ranks are more"},
        {"peer-script", true, "the peer's program [tests/bench/torch_peer.py of the repository]"},
        {"json", false, "print one JSON object"}};
    return s;
}

struct Measured {
    std::vector<Record> records;   ///< ours first
    std::vector<RankSplit> ranks;  ///< of ours
    std::string torch_version;
    std::vector<OpRow> ops;
    Roofline roofline;
    std::int64_t rounds = 0;
    std::int64_t steps = 0;
};

/// The job of --against: the job's own keys, and those laid over them.
Arguments against_arguments(const Arguments& arguments) {
    CommandSyntax keys;
    keys.usage = "--against \"--section.key value ...\"";
    keys.job_keys = true;
    std::vector<std::string> words = split(arguments.value("against"), ' ');
    std::erase(words, "");
    Arguments other = arguments;
    for (const auto& [key, setting] : parse_arguments(keys, words).job_settings)
        other.job_settings[key] = setting;
    return other;
}

/// The peer's program: as named, else from the current folder, else from the repository that this binary was
/// built in (build/PRESET/bin/trireme).
fs::path script_of(const Arguments& arguments) {
    if (arguments.has("peer-script")) return arguments.value("peer-script");
    if (fs::exists(peer_script)) return peer_script;
    std::error_code ignored;
    const fs::path beside =
        fs::read_symlink("/proc/self/exe", ignored).parent_path() / "../../.." / peer_script;
    if (fs::exists(beside)) return beside;
    throw ConfigError(
        fmt::format("command line: --peer: {} is not here: name it with --peer-script", peer_script));
}

std::string python_of(const Arguments& arguments) {
    const std::string peer = arguments.value("peer");
    if (!peer.starts_with("torch=") || peer == "torch=")
        throw ConfigError(fmt::format(
            "command line: --peer = {}: must be torch=PYTHON, the Python of an environment with torch",
            peer));
    return peer.substr(6);
}

void add_peers(std::vector<std::unique_ptr<Contender>>& contenders, const Arguments& arguments,
               const PlannedJob& job, comm::Communicator& comm, const MeetingFolder& meeting,
               Measured& measured) {
    TorchSetup setup;
    setup.python = python_of(arguments);
    setup.script = script_of(arguments);
    setup.meeting = meeting.file();
    for (const std::string& mode : torch_modes(job)) {
        setup.mode = mode;
        auto contender = std::make_unique<TorchContender>(setup, job, comm.rank());
        measured.torch_version = contender->version();
        contenders.push_back(std::move(contender));
    }
}

Measured measure(const Arguments& arguments, const PlannedJob& job, const PlannedJob* other,
                 comm::Communicator& comm) {
    Measured measured;
    const bool alone = other == nullptr && !arguments.has("peer");
    const InProcess process = other == nullptr ? InProcess::alone : InProcess::shared;
    measured.steps = whole_number(arguments, "steps", "20", 1, 1 << 24);
    measured.rounds = whole_number(arguments, "rounds", alone ? "1" : "10", 1, 1 << 20);
    // Outlives the contenders: their processes meet in it.
    std::optional<MeetingFolder> meeting;
    std::vector<std::unique_ptr<Contender>> contenders;
    auto own = std::make_unique<OwnContender>("ours", job, comm, process);
    OwnContender& ours = *own;
    contenders.push_back(std::move(own));
    if (other != nullptr)
        contenders.push_back(
            std::make_unique<OwnContender>("ours, " + arguments.value("against"), *other, comm, process));
    if (arguments.has("peer")) {
        meeting.emplace(comm, Deadline::in_seconds(turn_deadline));
        add_peers(contenders, arguments, job, comm, *meeting, measured);
    }
    const auto meet = [&] {
        std::this_thread::sleep_for(pause_before_turn);
        comm.barrier("turn", Deadline::in_seconds(turn_deadline));
    };
    // What warms up counts nowhere: pages, caches and deferred work of the first steps.
    for (const auto& contender : contenders) {
        meet();
        (void)contender->take_turn(2);
    }
    measured.records = alternate(contenders, measured.rounds, measured.steps, meet);
    const Record& record = measured.records.front();
    measured.ranks = gather_splits(record.times, static_cast<std::int64_t>(record.seconds.size()),
                                   record.times.total, comm, Deadline::in_seconds(turn_deadline));
    if (arguments.has("ops")) {
        meet();
        measured.ops = op_rows(job, comm.rank(), ours.time_instructions(measured.steps));
    }
    // Rank 0 removes the meeting place: by then the peers of all ranks have ended.
    contenders.clear();
    meet();
    if (arguments.has("ops")) {  // on a device it needs memory that the contenders had
        measured.roofline =
            measure_roofline(job.spec().job.device, job.selection().threads(), job.spec().numerics());
    }
    return measured;
}

ordered_json record_json(const Record& record) {
    const double median = quantile(record.seconds, 0.5);
    return {
        {"name", record.name},
        {"batch", record.batch},
        {"step_ms",
         {{"median", median * 1e3},
          {"p10", quantile(record.seconds, 0.1) * 1e3},
          {"p90", quantile(record.seconds, 0.9) * 1e3}}},
        {"samples_per_s", record.samples_per_second()},
        {"peak_memory_bytes", record.peak_memory ? ordered_json(record.peak_memory->value) : ordered_json()}};
}

ordered_json ops_json(const Measured& measured) {
    ordered_json list = ordered_json::array();
    for (const OpRow& row : measured.ops) {
        list.push_back({{"node", row.node},
                        {"op", row.op},
                        {"pass", row.pass},
                        {"kernel", row.kernel},
                        {"ms", row.seconds * 1e3},
                        {"flops", row.flops},
                        {"bytes", row.bytes},
                        {"roofline_share", row.roofline_share(measured.roofline)}});
    }
    return list;
}

ordered_json as_json(const Measured& measured, const PlannedJob& job) {
    ordered_json json{
        {"schema", 1},
        {"job", job.spec().job.name},
        {"model", job.graph().name()},
        {"batch", job.spec().data.batch},
        {"world", job.world()},
        {"threads", job.selection().threads()},
        {"precision", job.spec().precision.compute},
        {"rounds", measured.rounds},
        {"steps_a_turn", measured.steps},
        {"contenders", ordered_json::array()},
        {"step_time_split", split_json(measured.ranks.front().times, measured.ranks.front().steps)},
        {"ranks", ranks_json(measured.ranks)},
        {"waited_for", waited_for_json(measured.ranks)}};
    for (const Record& record : measured.records) json["contenders"].push_back(record_json(record));
    json["ratios"] = ordered_json::array();
    const Record& ours = measured.records.front();
    for (std::size_t c = 1; c < measured.records.size(); ++c) {
        const Record& other = measured.records[c];
        const Ratio ratio = ratio_of(ours, other);
        json["ratios"].push_back({{"to", ratio.to},
                                  {"median", ratio.median},
                                  {"p10", ratio.p10},
                                  {"p90", ratio.p90},
                                  {"memory", ratio.memory ? ordered_json(*ratio.memory) : ordered_json()}});
    }
    if (!measured.torch_version.empty()) json["torch"] = measured.torch_version;
    if (measured.ops.empty()) return json;
    json["roofline"] = {{"flops_per_s", measured.roofline.flops_per_s},
                        {"bytes_per_s", measured.roofline.bytes_per_s}};
    json["ops"] = ops_json(measured);
    return json;
}

void print_text(const Measured& measured, const PlannedJob& job) {
    fmt::print("{}: batch {}, {} rank(s) x {} thread(s), {}, {} turn(s) of {} steps{}\n", job.spec().job.name,
               job.spec().data.batch, job.world(), job.selection().threads(), job.spec().precision.compute,
               measured.rounds, measured.steps,
               measured.torch_version.empty() ? "" : ", torch " + measured.torch_version);
    fmt::print("{:<52} {:>10} {:>10} {:>10} {:>12} {:>12}\n", "", "step ms", "p10", "p90", "samples/s",
               "memory");
    for (const Record& record : measured.records) {
        const double median = quantile(record.seconds, 0.5);
        fmt::print("{:<52} {:>10.3f} {:>10.3f} {:>10.3f} {:>12.1f} {:>12}\n", record.name, median * 1e3,
                   quantile(record.seconds, 0.1) * 1e3, quantile(record.seconds, 0.9) * 1e3,
                   record.samples_per_second(), record.peak_memory ? human_bytes(*record.peak_memory) : "-");
    }
    if (!measured.records.front().peak_memory)
        fmt::print("memory: -: contenders that are ours share a process, so that no figure is one's own\n");
    for (std::size_t c = 1; c < measured.records.size(); ++c) {
        const Ratio ratio = ratio_of(measured.records.front(), measured.records[c]);
        fmt::print("{} takes {:.3f} times as long as ours ({:.3f} to {:.3f})\n", ratio.to, ratio.median,
                   ratio.p10, ratio.p90);
    }
    for (const RankSplit& split : measured.ranks) {
        fmt::print("rank {}:", split.rank);
        for (const auto& [name, seconds] : split.times.columns())
            fmt::print("  {} {:.3f} ms", name, split.a_step(seconds) * 1e3);
        fmt::print("  of {:.3f} ms\n", split.a_step(split.wall) * 1e3);
    }
    if (const auto straggler = straggler_of(measured.ranks)) fmt::print("{}\n", straggler->str());
    if (!measured.ops.empty()) fmt::print("{}", op_table(measured.ops, measured.roofline));
}

int run_bench_train(const Arguments& arguments) {
    RankJob asked = load_rank_job(arguments);
    PlannedJob job(std::move(asked.spec), comm::launcher_size(), asked.threads, DataUse::required);
    verify(job.plan());
    std::optional<PlannedJob> other;
    if (arguments.has("against")) {
        RankJob second = load_rank_job(against_arguments(arguments));
        other.emplace(std::move(second.spec), comm::launcher_size(), second.threads, DataUse::required);
        verify(other->plan());
    }
    return run_joined(job.spec().deadline.join, {}, [&](comm::Communicator& comm) {
        agree(job, comm);
        if (other) agree(*other, comm);
        const Measured measured = measure(arguments, job, other ? &*other : nullptr, comm);
        if (comm.rank() != 0) return 0;
        if (arguments.has("json")) {
            fmt::print("{}\n", as_json(measured, job).dump(2));
        } else {
            print_text(measured, job);
        }
        return 0;
    });
}

}  // namespace

Command bench_train_command() { return {"bench train", bench_train_syntax(), run_bench_train}; }

}  // namespace trireme::jobs
