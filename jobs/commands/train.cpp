#include <fmt/format.h>

#include "jobs/agreement.hpp"
#include "jobs/commands/commands.hpp"
#include "jobs/joined_job.hpp"
#include "jobs/planned_job.hpp"
#include "jobs/training_run.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax train_syntax() {
    CommandSyntax s;
    s.usage = "trireme train JOB [--section.key value ...]";
    s.about = "Trains the job on all ranks that mpirun (or srun) started. Results go to the run folder.";
    s.example = "mpirun -n 2 trireme train jobs/recipes/lenet-mnist.cfg --job.epochs 3";
    s.positionals = 1;
    s.job_keys = true;
    return s;
}

// The story of a job: what was asked, what is computed, who computes what, and only then the first message.
int run_train(const Arguments& arguments) {
    RankJob asked = load_rank_job(arguments);
    PlannedJob job(std::move(asked.spec), comm::launcher_size(), asked.threads, DataUse::required);
    verify(job.plan());
    return run_joined(job.spec().deadline.join, job.spec().job.output, [&](comm::Communicator& comm) {
        agree(job, comm);
        job.device().expect_memory(job.memory(comm.rank()).on_device());
        TrainingRun run(job, comm);
        return run.run();
    });
}

}  // namespace

Command train_command() { return {"train", train_syntax(), run_train}; }

}  // namespace trireme::jobs
