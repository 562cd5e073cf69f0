#include <fmt/format.h>

#include "jobs/agreement.hpp"
#include "jobs/checkpointing.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/evaluation.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax eval_syntax() {
    CommandSyntax s;
    s.usage = "trireme eval JOB --checkpoint DIR [--split NAME] [--json] [--section.key value ...]";
    s.about =
        "Evaluates a checkpoint on a split of the job's data set: loss, top-1, top-5, a table of classes, "
        "the "
        "confusion matrix; for 0/1 vectors loss and share of right labels, for floats the loss. Each sample "
        "counts once on any number of ranks.";
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

void print(const Evaluation& result, const std::filesystem::path& checkpoint, bool json) {
    if (json) {
        fmt::print("{}\n", result.json());
    } else {
        fmt::print("{}", result.text(checkpoint.string()));
    }
}

int run_eval(const Arguments& arguments) {
    if (!arguments.has("checkpoint"))
        throw ConfigError(
            fmt::format("command line: --checkpoint is missing; usage: {}", eval_syntax().usage));
    RankJob asked = load_rank_job(arguments);
    PlannedJob job(std::move(asked.spec), comm::launcher_size(), asked.threads, DataUse::required);
    return run_joined(job.spec().deadline.join, {}, [&](comm::Communicator& comm) {
        agree(job, comm);
        // Nothing is updated here: the plain optimizer has no state to make room for.
        ModelState state(job.graph(), job.plan().buckets(), OptimizerSpec{}, job.device());
        const std::filesystem::path checkpoint =
            agree_on_named(arguments.value("checkpoint"), job.spec().deadline.checkpoint, comm);
        restore_for_evaluation(state, checkpoint);
        Executor executor(executor_parts(job, comm, state));
        EvaluationSetup setup = evaluation_setup(job, *job.data(), arguments.value("split", "test"));
        setup.step_seconds = job.spec().deadline.join;
        const Evaluation result = evaluate(executor, setup, comm, nullptr);
        if (comm.rank() == 0) print(result, checkpoint, arguments.has("json"));
        return 0;
    });
}

}  // namespace

Command eval_command() { return {"eval", eval_syntax(), run_eval}; }

}  // namespace trireme::jobs
