#include <fmt/format.h>

#include "io/checkpoint/checkpoint.hpp"
#include "jobs/agreement.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "jobs/spec/job_file.hpp"
#include "jobs/wait_policy.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax syntax() {
    CommandSyntax s;
    s.usage = "trireme eval JOB --checkpoint DIR [--split NAME] [--json] [--section.key value ...]";
    s.about =
        "Evaluates a checkpoint on a split of the job's data set: loss, top-1, top-5, confusion matrix. Each "
        "sample counts once on any number of ranks.";
    s.example =
        "mpirun -n 2 trireme eval jobs/recipes/lenet-mnist.cfg --checkpoint runs/lenet-mnist/checkpoints "
        "--split test";
    s.positionals = 1;
    s.job_keys = true;
    s.flags = {
        {"checkpoint", true, "checkpoint folder, or a folder of checkpoints: the newest good one is taken"},
        {"split", true, "train, val or test [test]"},
        {"json", false, "print one JSON object"}};
    return s;
}

std::filesystem::path chosen_checkpoint(const std::filesystem::path& named) {
    if (!std::filesystem::is_directory(named))
        throw DataError(fmt::format("{}: there is no such checkpoint folder", named.string()));
    const auto inside = io::completed_checkpoints(named);
    return inside.empty() ? named : inside.front();
}

void print(const Evaluation& result, const std::filesystem::path& checkpoint, bool json) {
    if (json) {
        fmt::print("{}\n", result.json());
        return;
    }
    fmt::print("{} of {}: {} samples, loss {:.4f}, accuracy {:.2f} %, top-5 {:.2f} %\n", result.split,
               checkpoint.string(), result.samples, result.loss(), result.accuracy() * 100,
               result.top5_accuracy() * 100);
}

int run_eval(const Arguments& arguments) {
    if (!arguments.has("checkpoint"))
        throw ConfigError(fmt::format("command line: --checkpoint is missing; usage: {}", syntax().usage));
    JobSpec spec = load_job(arguments.positional.front(), arguments.job_settings);
    const int threads = static_cast<int>(spec.job.threads.value_or(automatic_threads()));
    avoid_spinning(threads);
    const PlannedJob job(std::move(spec), comm::launcher_size(), threads, DataUse::required);
    const std::filesystem::path checkpoint = chosen_checkpoint(arguments.value("checkpoint"));
    return run_joined(job.spec().deadline.join, {}, [&](comm::Communicator& comm) {
        agree(job, comm);
        ModelState state(job.graph(), job.plan().buckets(), job.spec().optimizer, job.device().memory());
        restore_for_evaluation(state, checkpoint);
        ExecutorParts parts;
        parts.plan = &job.plan();
        parts.rank = comm.rank();
        parts.state = &state;
        parts.device = &job.device();
        parts.comm = &comm;
        parts.eval_batch = job.eval_rows();
        Executor executor(parts);
        EvaluationSetup setup;
        setup.data = &*job.data();
        setup.split = arguments.value("split", "test");
        setup.batch = job.eval_rows() * comm.size();
        setup.loader = job.spec().data.loader;
        setup.data_seconds = job.spec().deadline.data;
        setup.step_seconds = job.spec().deadline.join;
        const Evaluation result = evaluate(executor, setup, comm, nullptr);
        if (comm.rank() == 0) print(result, checkpoint, arguments.has("json"));
        return 0;
    });
}

}  // namespace

Command eval_command() { return {"eval", syntax(), run_eval}; }

}  // namespace trireme::jobs
