#include "cluster/cgroup.hpp"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/core/text.hpp"

namespace trireme::cluster {
namespace {

namespace fs = std::filesystem;

/// Version 1 says "no limit" with a number near 2^63.
constexpr double no_memory_limit = 1e18;

std::string first_line(const fs::path& file) {
    std::ifstream in(file);
    std::string line;
    std::getline(in, line);
    return line;
}

std::optional<double> number(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end == text.c_str() || value < 0) return std::nullopt;
    return value;
}

/// "max 100000" or "150000 100000": microseconds of processor time in each period.
std::optional<double> cpus_of_v2(const fs::path& group) {
    const auto parts = split(first_line(group / "cpu.max"), ' ');
    if (parts.size() != 2) return std::nullopt;
    const auto quota = number(parts[0]);
    const auto period = number(parts[1]);
    if (!quota || !period || *period <= 0) return std::nullopt;
    return *quota / *period;
}

std::optional<double> cpus_of_v1(const fs::path& group) {
    const auto quota = number(first_line(group / "cpu.cfs_quota_us"));
    const auto period = number(first_line(group / "cpu.cfs_period_us"));
    if (!quota || !period || *period <= 0) return std::nullopt;
    return *quota / *period;
}

std::optional<double> memory_of(const fs::path& group, const char* file) {
    const auto bytes = number(first_line(group / file));
    if (!bytes || *bytes >= no_memory_limit) return std::nullopt;
    return bytes;
}

void tighten(std::optional<double>& limit, std::optional<double> other) {
    if (other) limit = limit ? std::min(*limit, *other) : *other;
}

/// The group's folder and all those above it up to the mount. In a container the path may name a folder of
/// the host that is not there; then the mount itself is the container's group.
std::vector<fs::path> chain(const fs::path& mount, const std::string& path) {
    std::vector<fs::path> groups;
    fs::path relative = fs::path(path).relative_path();
    while (!relative.empty()) {
        groups.push_back(mount / relative);
        relative = relative.parent_path();
    }
    groups.push_back(mount);
    return groups;
}

}  // namespace

CgroupLimits read_cgroup_limits(const fs::path& root) {
    const fs::path mount = root / "sys/fs/cgroup";
    std::optional<double> cpus;
    std::optional<double> memory;
    std::ifstream in(root / "proc/self/cgroup");
    for (std::string line; std::getline(in, line);) {
        // "4:memory:/path" in version 1, "0::/path" in version 2.
        const auto first = line.find(':');
        const auto second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = line.substr(first + 1, second - first - 1);
        const std::string path = line.substr(second + 1);
        if (controllers.empty()) {
            for (const auto& group : chain(mount, path)) {
                tighten(cpus, cpus_of_v2(group));
                tighten(memory, memory_of(group, "memory.max"));
            }
            continue;
        }
        for (const auto& controller : split(controllers, ',')) {
            if (controller != "cpu" && controller != "memory") continue;
            for (const auto& group : chain(mount / controller, path)) {
                if (controller == "cpu") tighten(cpus, cpus_of_v1(group));
                if (controller == "memory") tighten(memory, memory_of(group, "memory.limit_in_bytes"));
            }
        }
    }
    CgroupLimits limits;
    limits.cpus = cpus;
    if (memory) limits.memory = Bytes(static_cast<std::int64_t>(*memory));
    return limits;
}

}  // namespace trireme::cluster
