// What `doctor` looks at on this host. Functions here touch the system and judge nothing; doctor.hpp judges
// and touches nothing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme::cluster {

/// Who started this process and with which MPI. `world` and `library_version` come from comm, which alone
/// knows MPI.
struct LauncherFacts {
    int world = 1;                   ///< ranks that this process sees
    std::string library_version;     ///< of the linked library, as it describes itself
    std::string mpirun_version;      ///< first line of `mpirun --version`; "" without an mpirun on PATH
    int slurm_step_tasks = 0;        ///< processes that srun started together; 0 outside a Slurm step
    int slurm_allocation_tasks = 0;  ///< tasks of the allocation; 0 outside Slurm
    int foreign_world = 0;           ///< size that another MPI's launcher (PMI_SIZE) announced; 0: none
    bool root = false;
    bool root_allowed = false;  ///< both variables by which Open MPI agrees to run as root are set
};
[[nodiscard]] LauncherFacts launcher_facts(int world, std::string_view library_version);

struct MemoryFacts {
    Bytes total;
    Bytes available;
    std::optional<Bytes> cgroup_limit;
};
[[nodiscard]] MemoryFacts memory_facts(const std::filesystem::path& root = "/");

/// /dev/shm, through which the ranks of a host talk.
struct SharedMemoryFacts {
    bool present = false;
    Bytes size;
    Bytes free;
};
[[nodiscard]] SharedMemoryFacts shared_memory_facts();

/// A folder tried out with a file of our own: written, fsynced, renamed, locked, removed. Each error is ""
/// when that went well.
struct FolderFacts {
    std::filesystem::path folder;  ///< the folder that was tried: the nearest one that exists
    std::string type;              ///< "ext4", "nfs", ...; or the magic number of an unknown one
    bool network = false;
    Bytes free;
    std::string write_error;
    std::string sync_error;
    std::string rename_error;
    std::string lock_error;
};
[[nodiscard]] FolderFacts probe_folder(const std::filesystem::path& folder);

struct OpenFilesFacts {
    std::uint64_t soft = 0;
    std::uint64_t hard = 0;
};
[[nodiscard]] OpenFilesFacts open_files_facts();

struct CpuFacts {
    std::string architecture;  ///< as `uname -m` says it
    std::string model;
    std::vector<std::string> flags;
};
[[nodiscard]] CpuFacts cpu_facts();
/// From the text of /proc/cpuinfo.
[[nodiscard]] CpuFacts parse_cpuinfo(std::string_view cpuinfo, std::string_view architecture);

}  // namespace trireme::cluster
