// Judges what host_facts.hpp found: is this host fit to run a job, and if not, what helps? Pure functions;
// each check says what was found, and a remedy that can be typed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cluster/host_facts.hpp"
#include "cluster/topology.hpp"

namespace trireme::cluster {

/// In order of gravity. A warning costs speed or comfort; a failure keeps jobs from running.
enum class CheckStatus { ok, warn, fail };
[[nodiscard]] std::string_view name_of(CheckStatus status);

struct Check {
    std::string name;
    CheckStatus status = CheckStatus::ok;
    std::string found;
    std::string remedy;  ///< "" when nothing is to be done
};

/// mpirun is there and of the same MPI as the linked library.
[[nodiscard]] Check check_launcher(const LauncherFacts& facts);
/// The processes of a launch have met: N processes that are each alone would train N times and overwrite each
/// other's run folder.
[[nodiscard]] Check check_world(const LauncherFacts& facts);
/// Open MPI refuses to start as root unless two variables say yes.
[[nodiscard]] Check check_root(const LauncherFacts& facts);
[[nodiscard]] Check check_binding(const ProcessView& view);
[[nodiscard]] Check check_memory(const MemoryFacts& facts);
[[nodiscard]] Check check_shared_memory(const SharedMemoryFacts& facts, int local_ranks);
[[nodiscard]] Check check_folder(const FolderFacts& facts);
[[nodiscard]] Check check_open_files(const OpenFilesFacts& facts);
[[nodiscard]] Check check_cpu(const CpuFacts& facts);

/// All of the above for this host and process.
[[nodiscard]] std::vector<Check> examine_host(int world, std::string_view mpi_library_version,
                                              const std::filesystem::path& run_folder);

[[nodiscard]] CheckStatus worst(std::span<const Check> checks);
/// One line a check, its remedy below it, and a last line of counts.
[[nodiscard]] std::string format_table(std::span<const Check> checks);
/// {"schema": 1, "status": "warn", "checks": [{"name", "status", "found", "remedy"}]}
[[nodiscard]] std::string format_json(std::span<const Check> checks);

/// An MPI and its version, from the text by which a library or an mpirun describes itself.
struct MpiVersion {
    std::string implementation;  ///< "Open MPI", "MPICH", "Intel MPI", or "" when not recognised
    int major = 0;
    int minor = 0;
    int patch = 0;
    [[nodiscard]] std::string str() const;
};
[[nodiscard]] MpiVersion parse_mpi_version(std::string_view text);

}  // namespace trireme::cluster
