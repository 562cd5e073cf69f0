// The limits that control groups (containers, Slurm, systemd) set on this process. Without them a process in
// a container sees the whole host, starts too many threads and is killed for memory that looked free.
#pragma once

#include <filesystem>
#include <optional>

#include "runtime/core/strong.hpp"

namespace trireme::cluster {

struct CgroupLimits {
    std::optional<double> cpus;   ///< processors' worth of time
    std::optional<Bytes> memory;  ///< bytes that the group may hold, page cache included
};

/// Reads versions 1 and 2 below `root` (the real system under "/"; tests give a folder that looks like one).
/// A group is bound by its own limit and by those of all groups above it. What cannot be read is no limit.
[[nodiscard]] CgroupLimits read_cgroup_limits(const std::filesystem::path& root = "/");

}  // namespace trireme::cluster
