// Where the processes of a job are. Each process looks at its own host once (`local_view`), the views travel
// as one line of text a rank (comm gathers them), and everything else is a pure function of the gathered
// lines, so that all ranks come to the same answer and tests need no cluster.
//
// Words: a processor is what the operating system schedules on (a hardware thread); a core has one or more
// of them. Kernels are given cores, because two hardware threads share one vector unit.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/topology.hpp"

namespace trireme::cluster {

struct Processor {
    int id = 0;    ///< the operating system's number
    int core = 0;  ///< number of the core it belongs to, unique in the host
    int numa = 0;  ///< number of the nearest memory (NUMA node)
    bool operator==(const Processor&) const = default;
};

/// What one process knows about its place before it has met the others.
struct ProcessView {
    std::string host;     ///< host name
    std::string machine;  ///< changes with every boot, so that two hosts of one name are told apart
    int machine_cores = 0;
    double cpu_limit = 0;               ///< processors' worth of time that the cgroup grants; 0: no limit
    std::vector<Processor> processors;  ///< those that the process may use, in order of their id

    /// Distinct cores under `processors`.
    [[nodiscard]] int cores() const;
    /// Distinct NUMA nodes under `processors`.
    [[nodiscard]] int numa_nodes() const;
    bool operator==(const ProcessView&) const = default;
};

/// Asks hwloc and the control groups about the calling process. A host of which hwloc knows nothing is taken
/// as one processor.
[[nodiscard]] ProcessView local_view();

/// One line of text without line breaks; `parse_view(serialize(v)) == v`.
[[nodiscard]] std::string serialize(const ProcessView& view);
/// Throws ConfigError when the line is of another version or malformed: the ranks do not run the same build.
[[nodiscard]] ProcessView parse_view(std::string_view line);

/// The whole job: `views[r]` and `topology.ranks[r]` are about rank r.
struct ClusterView {
    std::vector<ProcessView> views;
    Topology topology;
};

/// Joins the lines of all ranks, in rank order. Nodes are numbered in the order of their lowest rank. Throws
/// ConfigError naming the rank whose line is malformed.
[[nodiscard]] ClusterView read_cluster(std::span<const std::string> lines);

/// Distinct cores that the ranks of one node may use together, and no more than their control group grants;
/// at least 1.
[[nodiscard]] int usable_cores(const ClusterView& cluster, int node);

/// Kernel threads of `rank` when the job does not say: the usable cores of its node split evenly between the
/// node's ranks, no more than the cores it is bound to, at least 1.
[[nodiscard]] int default_kernel_threads(const ClusterView& cluster, int rank);

/// One sentence for each node whose threads exceed its cores and for each rank with more threads than the
/// cores it is bound to, with the remedy. `threads[r]` are the kernel threads of rank r; `wait_policy` is
/// the value of OMP_WAIT_POLICY ("" when it is not set).
[[nodiscard]] std::vector<std::string> oversubscription_warnings(const ClusterView& cluster,
                                                                 std::span<const int> threads,
                                                                 std::string_view wait_policy);

/// "2 ranks on 1 node: host a: ranks 0-1, 8 cores", one line a node.
[[nodiscard]] std::string describe(const ClusterView& cluster);

/// "0-3,8": consecutive numbers joined; `numbers` must be sorted.
[[nodiscard]] std::string number_ranges(std::span<const int> numbers);

}  // namespace trireme::cluster
