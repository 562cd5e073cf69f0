#include "cluster/host_facts.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cluster/cgroup.hpp"
#include "runtime/core/text.hpp"

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;

/// A number in the environment; 0 when it is not there.
int env_number(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? 0 : std::atoi(value);
}

bool env_is_one(const char* name) { return env_number(name) == 1; }

struct PipeCloser {
    void operator()(std::FILE* pipe) const { pclose(pipe); }
};

/// The first line that mpirun says about itself. A fixed command: nothing of the user's reaches the shell.
std::string ask_mpirun() {
    const std::unique_ptr<std::FILE, PipeCloser> pipe(popen("mpirun --version 2>/dev/null", "re"));
    if (!pipe) return "";
    std::string text;
    std::array<char, 512> buffer{};
    while (std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe.get()) != nullptr) {
        text += buffer.data();
    }
    // MPICH's launcher says its name in the first line and its version in the second.
    const auto lines = split(text, '\n');
    if (lines.empty()) return "";
    if (lines.size() > 1 && lines[0].find("HYDRA") != std::string::npos) return lines[0] + " " + lines[1];
    return lines[0];
}

/// "MemTotal:       24684092 kB" of /proc/meminfo, in bytes.
Bytes meminfo_entry(const std::string& meminfo, std::string_view key) {
    const auto at = meminfo.find(std::string(key) + ":");
    if (at == std::string::npos) return Bytes(0);
    return Bytes(std::strtoll(meminfo.c_str() + at + key.size() + 1, nullptr, 10) * 1024);
}

std::string read_text(const fs::path& file) {
    std::ifstream in(file);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// The value after "key<tab>:" of the first processor.
std::string cpuinfo_entry(std::string_view cpuinfo, std::string_view key) {
    for (const auto& line : split(cpuinfo, '\n')) {
        const auto colon = line.find(':');
        if (colon == std::string::npos) continue;
        if (trim(std::string_view(line).substr(0, colon)) == key) {
            return std::string(trim(std::string_view(line).substr(colon + 1)));
        }
    }
    return "";
}

}  // namespace

LauncherFacts launcher_facts(int world, std::string_view library_version) {
    LauncherFacts facts;
    facts.world = world;
    facts.library_version = library_version;
    facts.mpirun_version = ask_mpirun();
    facts.slurm_step_tasks = env_number("SLURM_STEP_NUM_TASKS");
    facts.slurm_allocation_tasks = env_number("SLURM_NTASKS");
    facts.foreign_world = env_number("PMI_SIZE");
    facts.root = geteuid() == 0;
    facts.root_allowed = env_is_one("OMPI_ALLOW_RUN_AS_ROOT") && env_is_one("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM");
    return facts;
}

MemoryFacts memory_facts(const fs::path& root) {
    const std::string meminfo = read_text(root / "proc/meminfo");
    return {.total = meminfo_entry(meminfo, "MemTotal"),
            .available = meminfo_entry(meminfo, "MemAvailable"),
            .cgroup_limit = read_cgroup_limits(root).memory};
}

SharedMemoryFacts shared_memory_facts() {
    struct statvfs info {};
    if (statvfs("/dev/shm", &info) != 0) return {};
    const auto block = static_cast<std::int64_t>(info.f_frsize);
    return {.present = access("/dev/shm", W_OK) == 0,
            .size = Bytes(static_cast<std::int64_t>(info.f_blocks) * block),
            .free = Bytes(static_cast<std::int64_t>(info.f_bavail) * block)};
}

OpenFilesFacts open_files_facts() {
    struct rlimit limit {};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
    return {.soft = limit.rlim_cur, .hard = limit.rlim_max};
}

CpuFacts parse_cpuinfo(std::string_view cpuinfo, std::string_view architecture) {
    CpuFacts facts;
    facts.architecture = architecture;
    facts.model = cpuinfo_entry(cpuinfo, "model name");
    for (auto& flag : split(cpuinfo_entry(cpuinfo, "flags"), ' ')) {
        if (!flag.empty()) facts.flags.push_back(std::move(flag));
    }
    return facts;
}

CpuFacts cpu_facts() {
    struct utsname name {};
    const std::string architecture = uname(&name) == 0 ? name.machine : "unknown";
    return parse_cpuinfo(read_text("/proc/cpuinfo"), architecture);
}

}  // namespace trireme::cluster
