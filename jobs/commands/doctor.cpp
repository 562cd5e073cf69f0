#include "cluster/doctor.hpp"

#include <fmt/format.h>

#include "comm/communicator.hpp"
#include "jobs/commands/commands.hpp"

namespace trireme::jobs {
namespace {

CommandSyntax doctor_syntax() {
    CommandSyntax s;
    s.usage = "trireme doctor [--folder DIR] [--json]";
    s.about =
        "Examines this host: launcher, MPI versions, cores and binding, memory, shared memory, file system. "
        "Says what is wrong and how to fix it; ends with "
        "code 2 when something would keep jobs from running.";
    s.example = "mpirun -n 1 trireme doctor --folder runs";
    s.flags = {{"folder", true, "folder for runs, whose file system is tried out [.]"},
               {"json", false, "print one JSON object"}};
    return s;
}

int run_doctor(const Arguments& arguments) {
    const auto checks = cluster::examine_host(comm::launcher_size(), comm::mpi_library_version(),
                                              arguments.value("folder", "."));
    // Under mpirun one process speaks for each host.
    if (comm::launcher_local_rank() == 0)
        fmt::print("{}\n",
                   arguments.has("json") ? cluster::format_json(checks) : cluster::format_table(checks));
    return cluster::worst(checks) == cluster::CheckStatus::fail ? 2 : 0;
}

}  // namespace

Command doctor_command() { return {"doctor", doctor_syntax(), run_doctor}; }

}  // namespace trireme::jobs
