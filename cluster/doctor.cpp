#include "cluster/doctor.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/text.hpp"

namespace trireme::cluster {
namespace {

constexpr Bytes mebibytes(std::int64_t n) { return Bytes(n * 1024 * 1024); }

/// Below this even LeNet with its data pipeline is cramped.
constexpr Bytes scarce_memory = mebibytes(1024);
/// Open MPI 4 takes 4 MiB a rank for its buffers, and PMIx and the shared counters some more.
constexpr Bytes shared_memory_a_rank = mebibytes(8);
/// What Docker gives when nobody asks; larger messages and shared arenas want more.
constexpr Bytes comfortable_shared_memory = mebibytes(128);
constexpr Bytes scarce_disk = mebibytes(1024);
/// Shards, sockets to peers and checkpoints of one rank.
constexpr std::uint64_t comfortable_open_files = 1024;

/// Reads up to three numbers joined by dots from the first digit on.
void read_numbers(std::string_view text, MpiVersion& version) {
    const auto* at = std::find_if(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
    for (int* part : {&version.major, &version.minor, &version.patch}) {
        const auto [end, error] = std::from_chars(at, text.end(), *part);
        if (error != std::errc()) return;
        at = end;
        if (at == text.end() || *at != '.') return;
        ++at;
    }
}

bool has_flag(const CpuFacts& facts, std::string_view flag) {
    return std::find(facts.flags.begin(), facts.flags.end(), flag) != facts.flags.end();
}

/// The widest instruction set that oneDNN will choose.
std::string instruction_set(const CpuFacts& facts) {
    if (has_flag(facts, "avx512f") && has_flag(facts, "avx512bw") && has_flag(facts, "avx512vl")) {
        std::string name = "AVX-512";
        if (has_flag(facts, "avx512_vnni")) name += " + VNNI";
        if (has_flag(facts, "avx512_bf16")) name += " + bf16";
        if (has_flag(facts, "amx_tile") && has_flag(facts, "amx_bf16")) name += " + AMX";
        return name;
    }
    if (has_flag(facts, "avx2") && has_flag(facts, "fma")) return "AVX2";
    if (has_flag(facts, "avx")) return "AVX";
    if (has_flag(facts, "sse4_1")) return "SSE4.1";
    return "";
}

}  // namespace

std::string_view name_of(CheckStatus status) {
    switch (status) {
        case CheckStatus::ok:
            return "ok";
        case CheckStatus::warn:
            return "warn";
        case CheckStatus::fail:
            return "fail";
    }
    return "?";
}

std::string MpiVersion::str() const {
    return implementation.empty() ? "unknown MPI"
                                  : fmt::format("{} {}.{}.{}", implementation, major, minor, patch);
}

MpiVersion parse_mpi_version(std::string_view text) {
    struct Sign {
        std::string_view sign;
        std::string_view implementation;
    };
    // Intel MPI comes with a Hydra of its own, so its sign is looked for before MPICH's.
    constexpr std::array<Sign, 6> signs = {{{"Open MPI", "Open MPI"},
                                            {"OpenRTE", "Open MPI"},
                                            {"Intel(R) MPI", "Intel MPI"},
                                            {"MVAPICH", "MVAPICH"},
                                            {"MPICH", "MPICH"},
                                            {"HYDRA", "MPICH"}}};
    MpiVersion version;
    for (const auto& [sign, implementation] : signs) {
        const auto at = text.find(sign);
        if (at == std::string_view::npos) continue;
        version.implementation = implementation;
        read_numbers(text.substr(at + sign.size()), version);
        break;
    }
    return version;
}

Check check_launcher(const LauncherFacts& facts) {
    const MpiVersion library = parse_mpi_version(facts.library_version);
    if (facts.mpirun_version.empty()) {
        return {"launcher", CheckStatus::fail,
                fmt::format("no mpirun on PATH; linked with {}", library.str()),
                "install the launcher of the linked MPI (Debian: apt-get install openmpi-bin) or load its "
                "module; "
                "under Slurm, srun --mpi=pmix starts jobs without it"};
    }
    const MpiVersion mpirun = parse_mpi_version(facts.mpirun_version);
    const std::string found = fmt::format("mpirun is {}, linked with {}", mpirun.str(), library.str());
    if (mpirun.implementation.empty() || library.implementation.empty()) {
        return {"launcher", CheckStatus::warn, found,
                fmt::format("compare by hand: mpirun says '{}', the library '{}'", facts.mpirun_version,
                            facts.library_version)};
    }
    if (mpirun.implementation != library.implementation || mpirun.major != library.major) {
        return {
            "launcher", CheckStatus::fail, found,
            fmt::format("put the mpirun of {} first on PATH: another one starts ranks that do not find each "
                        "other",
                        library.str())};
    }
    if (mpirun.minor != library.minor) {
        return {"launcher", CheckStatus::warn, found,
                "use the mpirun of the library that trireme was linked with"};
    }
    return {"launcher", CheckStatus::ok, found, ""};
}

Check check_world(const LauncherFacts& facts) {
    const std::string_view name = "world";
    if (facts.world > 1) {
        return {std::string(name), CheckStatus::ok, fmt::format("{} ranks have met", facts.world), ""};
    }
    if (facts.slurm_step_tasks > 1) {
        return {
            std::string(name), CheckStatus::fail,
            fmt::format("srun started {} processes, and each is alone in a world of 1",
                        facts.slurm_step_tasks),
            "start with srun --mpi=pmix (srun --mpi=list shows what this Slurm has), or with mpirun inside "
            "the batch script"};
    }
    if (facts.foreign_world > 1) {
        return {
            std::string(name), CheckStatus::fail,
            fmt::format("a launcher of another MPI started {} processes, and each is alone in a world of 1",
                        facts.foreign_world),
            fmt::format("start with the mpirun of {}", parse_mpi_version(facts.library_version).str())};
    }
    if (facts.slurm_allocation_tasks > 1) {
        return {std::string(name), CheckStatus::warn,
                fmt::format("one process in a Slurm allocation of {} tasks", facts.slurm_allocation_tasks),
                fmt::format("start training with mpirun -n {0} or srun --mpi=pmix -n {0}",
                            facts.slurm_allocation_tasks)};
    }
    return {std::string(name), CheckStatus::ok, "one process, not started as a group", ""};
}

Check check_root(const LauncherFacts& facts) {
    const bool open_mpi = parse_mpi_version(facts.library_version).implementation == "Open MPI";
    if (!facts.root) return {"user", CheckStatus::ok, "not root", ""};
    if (!open_mpi || facts.root_allowed)
        return {"user", CheckStatus::ok, "root, and mpirun is told to accept it", ""};
    return {"user", CheckStatus::warn, "root: mpirun will refuse to start",
            "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1, or work as another user"};
}

Check check_binding(const ProcessView& view) {
    std::vector<int> ids;
    for (const auto& p : view.processors) ids.push_back(p.id);
    std::string found =
        fmt::format("{} of {} cores (processors {}) on {} NUMA node{}", view.cores(), view.machine_cores,
                    number_ranges(ids), view.numa_nodes(), view.numa_nodes() == 1 ? "" : "s");
    if (view.cpu_limit > 0) found += fmt::format(", cgroup grants {:.1f}", view.cpu_limit);
    if (view.cpu_limit > 0 && view.cpu_limit < view.cores()) {
        return {"cores", CheckStatus::warn, found,
                fmt::format("the container or job limits processor time: raise it (docker run --cpus {}), or "
                            "start fewer ranks; threads are counted by the limit",
                            view.cores())};
    }
    if (view.cores() < view.machine_cores) {
        return {
            "cores", CheckStatus::warn, found,
            "if this process should have more: mpirun --bind-to none, or --map-by slot:PE=N for N cores a "
            "rank (by default mpirun binds each of up to two ranks to one core)"};
    }
    return {"cores", CheckStatus::ok, found, ""};
}

Check check_memory(const MemoryFacts& facts) {
    std::string found =
        fmt::format("{} available of {}", human_bytes(facts.available), human_bytes(facts.total));
    Bytes usable = facts.available;
    if (facts.cgroup_limit) {
        found += fmt::format(", cgroup limit {}", human_bytes(*facts.cgroup_limit));
        usable = std::min(usable, *facts.cgroup_limit);
    }
    if (usable < scarce_memory) {
        return {"memory", CheckStatus::warn, found,
                "trireme inspect JOB --world N --what memory shows what a rank needs; free memory, raise the "
                "limit, "
                "or lower data.batch"};
    }
    return {"memory", CheckStatus::ok, found, ""};
}

Check check_shared_memory(const SharedMemoryFacts& facts, int local_ranks) {
    const std::string_view name = "/dev/shm";
    const std::string remedy =
        "give the host more: docker run --shm-size=1g, or mount -o remount,size=1g /dev/shm";
    if (!facts.present) {
        return {std::string(name), CheckStatus::fail, "missing or not writable",
                "mount a tmpfs there: ranks of one host talk through it"};
    }
    const std::string found = fmt::format("{} free of {}", human_bytes(facts.free), human_bytes(facts.size));
    if (facts.free < shared_memory_a_rank * std::max(1, local_ranks)) {
        return {std::string(name), CheckStatus::fail,
                fmt::format("{}, too little for {} rank{}", found, local_ranks, local_ranks == 1 ? "" : "s"),
                remedy};
    }
    if (facts.free < comfortable_shared_memory) return {std::string(name), CheckStatus::warn, found, remedy};
    return {std::string(name), CheckStatus::ok, found, ""};
}

Check check_folder(const FolderFacts& facts) {
    std::string found =
        fmt::format("{}: {}, {} free", facts.folder.string(), facts.type, human_bytes(facts.free));
    if (facts.network) found += ", network";
    if (!facts.write_error.empty()) {
        return {"run folder", CheckStatus::fail,
                fmt::format("{}; cannot write: {}", found, facts.write_error),
                "set job.output to a folder that you may write to"};
    }
    if (!facts.rename_error.empty() || !facts.sync_error.empty()) {
        const bool rename_failed = !facts.rename_error.empty();
        return {"run folder", CheckStatus::fail,
                fmt::format("{}; {} fails: {}", found, rename_failed ? "rename" : "fsync",
                            rename_failed ? facts.rename_error : facts.sync_error),
                "set job.output to another file system: checkpoints rely on fsync and rename"};
    }
    if (!facts.lock_error.empty()) {
        return {"run folder", CheckStatus::warn, fmt::format("{}; cannot lock: {}", found, facts.lock_error),
                "export HDF5_USE_FILE_LOCKING=FALSE for other programs that read these files with HDF5"};
    }
    if (facts.free < scarce_disk) {
        return {"run folder", CheckStatus::warn, found, "free space, or lower checkpoint.keep"};
    }
    if (facts.type == "tmpfs" || facts.type == "ramfs") {
        return {"run folder", CheckStatus::warn, found,
                "it lives in memory and is lost at a restart: set job.output to a disk for runs that matter"};
    }
    return {"run folder", CheckStatus::ok, found, ""};
}

Check check_open_files(const OpenFilesFacts& facts) {
    const std::string found = fmt::format("{} (can be raised to {})", facts.soft, facts.hard);
    if (facts.soft >= comfortable_open_files) return {"open files", CheckStatus::ok, found, ""};
    if (facts.hard >= comfortable_open_files) {
        return {"open files", CheckStatus::warn, found, fmt::format("ulimit -n {}", comfortable_open_files)};
    }
    return {"open files", CheckStatus::warn, found,
            fmt::format("ask the administrator for {} (limits.conf: nofile)", comfortable_open_files)};
}

Check check_cpu(const CpuFacts& facts) {
    const std::string model = facts.model.empty() ? facts.architecture : facts.model;
    if (facts.architecture != "x86_64") {
        return {
            "processor", CheckStatus::fail, fmt::format("{} ({})", model, facts.architecture),
            "the oneDNN that cluster/install-deps.sh fetches is built for x86-64; build oneDNN 3.2 or newer "
            "for this processor and set TRIREME_DEPS_DIR"};
    }
    const std::string isa = instruction_set(facts);
    if (isa.empty()) {
        return {"processor", CheckStatus::fail, fmt::format("{}, without SSE4.1", model),
                "oneDNN needs SSE4.1: use a newer processor, or let the virtual machine show the host's "
                "(qemu -cpu host)"};
    }
    const std::string found = fmt::format("{}, {}", model, isa);
    if (isa == "AVX" || isa == "SSE4.1") {
        return {
            "processor", CheckStatus::warn, found,
            "kernels will be slow: in a virtual machine, let it show the host's processor (qemu -cpu host)"};
    }
    return {"processor", CheckStatus::ok, found, ""};
}

std::vector<Check> examine_host(int world, std::string_view mpi_library_version,
                                const std::filesystem::path& run_folder) {
    const LauncherFacts launcher = launcher_facts(world, mpi_library_version);
    return {check_launcher(launcher), check_world(launcher), check_root(launcher), check_cpu(cpu_facts()),
            check_binding(local_view()), check_memory(memory_facts()),
            // How many ranks will share this host is not known here: at worst all of them.
            check_shared_memory(shared_memory_facts(), world), check_folder(probe_folder(run_folder)),
            check_open_files(open_files_facts())};
}

CheckStatus worst(std::span<const Check> checks) {
    CheckStatus status = CheckStatus::ok;
    for (const auto& check : checks) status = std::max(status, check.status);
    return status;
}

std::string format_table(std::span<const Check> checks) {
    std::size_t width = 0;
    for (const auto& check : checks) width = std::max(width, check.name.size());
    std::string text;
    std::array<int, 3> counts{};
    for (const auto& check : checks) {
        ++counts[static_cast<std::size_t>(check.status)];
        text += fmt::format("{:{}}  {:4}  {}\n", check.name, width, name_of(check.status), check.found);
        if (!check.remedy.empty()) text += fmt::format("{:{}}        -> {}\n", "", width, check.remedy);
    }
    return text + fmt::format("{} checks: {} ok, {} warn, {} fail\n", checks.size(), counts[0], counts[1],
                              counts[2]);
}

std::string format_json(std::span<const Check> checks) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& check : checks) {
        list.push_back({{"name", check.name},
                        {"status", name_of(check.status)},
                        {"found", check.found},
                        {"remedy", check.remedy}});
    }
    const nlohmann::ordered_json report = {
        {"schema", 1}, {"status", name_of(worst(checks))}, {"checks", std::move(list)}};
    return report.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace trireme::cluster
