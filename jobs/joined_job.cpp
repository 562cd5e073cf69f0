#include "jobs/joined_job.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "cluster/topology.hpp"
#include "jobs/run_folder.hpp"
#include "jobs/wait_policy.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

namespace trireme::jobs {
namespace {

constexpr double finish_seconds = 60;

/// The last words of a rank: prints and keeps the verdict when it is the one to speak, then ends the job.
int end_badly(comm::Communicator& comm, const comm::Verdict& verdict, bool speaker,
              const std::filesystem::path& run_folder) {
    if (speaker) {
        fmt::print(stderr, "{}\n", verdict.str());
        std::fflush(stderr);
        if (!run_folder.empty()) write_verdict(run_folder, verdict);
    }
    const int code = exit_code_of(verdict.error_class);
    comm.abort(code, speaker);
    return code;
}

comm::Verdict verdict_of(const comm::Communicator& comm, ErrorClass cls, const char* reason) {
    comm::Verdict verdict;
    verdict.error_class = cls;
    verdict.kind = "ERROR";
    verdict.rank = comm.rank();
    verdict.host = comm.host();
    verdict.reason = reason;
    return verdict;
}

}  // namespace

int run_joined(double join_seconds, const std::filesystem::path& run_folder, const JobBody& body) {
    const auto comm = comm::join_mpi(comm::CommOptions{}, Deadline::in_seconds(join_seconds));
    if (comm->size() > 1) log::set_label(fmt::format("rank {}", comm->rank()));
    try {
        const int code = body(*comm);
        comm->finish(Deadline::in_seconds(finish_seconds));
        return code;
    } catch (const comm::JobFailed& failed) {
        return end_badly(*comm, failed.verdict(), failed.speaker(), run_folder);
    } catch (const Error& error) {
        const comm::Verdict verdict = verdict_of(*comm, error.error_class(), error.what());
        return end_badly(*comm, verdict, comm->announce_failure(verdict), run_folder);
    } catch (const std::exception& error) {
        const comm::Verdict verdict = verdict_of(*comm, ErrorClass::internal, error.what());
        return end_badly(*comm, verdict, comm->announce_failure(verdict), run_folder);
    }
}

RankJob load_rank_job(const Arguments& arguments) {
    RankJob job;
    job.spec = load_job(arguments.positional.front(), arguments.job_settings);
    job.threads = static_cast<int>(job.spec.job.threads.value_or(automatic_threads()));
    avoid_spinning(job.threads);
    return job;
}

int automatic_threads() {
    // Before the ranks have met, every rank of this host is taken to see what this one sees.
    const std::vector<std::string> views(static_cast<std::size_t>(comm::launcher_local_size()),
                                         cluster::serialize(cluster::local_view()));
    return cluster::default_kernel_threads(cluster::read_cluster(views), comm::launcher_local_rank());
}

}  // namespace trireme::jobs
