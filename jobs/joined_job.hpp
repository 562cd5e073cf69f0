// Joins the ranks of a job, runs its body, and ends the job well or badly: one rank's error ends all of them
// within seconds, its cause is printed once, and the exit code is the error class's.
#pragma once

#include <filesystem>
#include <functional>

#include "comm/communicator.hpp"
#include "jobs/spec/job_file.hpp"
#include "jobs/spec/job_spec.hpp"

namespace trireme::jobs {

/// What a command does as a rank of the job; returns the exit code.
using JobBody = std::function<int(comm::Communicator&)>;

/// `run_folder`: where a verdict is left; empty: nowhere.
[[nodiscard]] int run_joined(double join_seconds, const std::filesystem::path& run_folder,
                             const JobBody& body);

/// A job as the command line names it, and the kernel threads that a rank of it has.
struct RankJob {
    JobSpec spec;
    int threads = 1;
};

/// What every command that runs a job on ranks begins with. May execute the program again (wait_policy.hpp),
/// so it comes before anything has started.
[[nodiscard]] RankJob load_rank_job(const Arguments& arguments);

/// Kernel threads of this process when the job names none: its share of the host's cores.
[[nodiscard]] int automatic_threads();

}  // namespace trireme::jobs
