// Asks hwloc which processors this process may use.
#include <array>
#include <fstream>
#include <memory>
#include <string>

#include <hwloc.h>
#include <unistd.h>

#include "cluster/cgroup.hpp"
#include "cluster/topology.hpp"

namespace trireme::cluster {
namespace {

struct TopologyCloser {
    void operator()(hwloc_topology_t topology) const { hwloc_topology_destroy(topology); }
};
using TopologyHandle = std::unique_ptr<hwloc_topology, TopologyCloser>;

struct BitmapCloser {
    void operator()(hwloc_bitmap_t bitmap) const { hwloc_bitmap_free(bitmap); }
};
using BitmapHandle = std::unique_ptr<hwloc_bitmap_s, BitmapCloser>;

/// Processors, cores and memories only: looking for caches and devices takes longer and is not needed.
TopologyHandle load_topology() {
    hwloc_topology_t raw = nullptr;
    if (hwloc_topology_init(&raw) != 0) return nullptr;
    TopologyHandle topology(raw);
    hwloc_topology_set_all_types_filter(raw, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(raw, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(raw) != 0) return nullptr;
    return topology;
}

std::vector<Processor> allowed_processors(hwloc_topology_t topology) {
    BitmapHandle bound(hwloc_bitmap_alloc());
    if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) != 0 ||
        hwloc_bitmap_iszero(bound.get())) {
        hwloc_bitmap_copy(bound.get(), hwloc_topology_get_allowed_cpuset(topology));
    }
    std::vector<Processor> processors;
    for (int id = hwloc_bitmap_first(bound.get()); id >= 0; id = hwloc_bitmap_next(bound.get(), id)) {
        const hwloc_obj_t unit = hwloc_get_pu_obj_by_os_index(topology, static_cast<unsigned>(id));
        if (unit == nullptr) continue;
        const hwloc_obj_t core = hwloc_get_ancestor_obj_by_type(topology, HWLOC_OBJ_CORE, unit);
        const hwloc_obj_t numa =
            hwloc_get_next_obj_covering_cpuset_by_type(topology, unit->cpuset, HWLOC_OBJ_NUMANODE, nullptr);
        // Where the core is not known, each processor counts as one.
        processors.push_back(
            {.id = id,
             .core = static_cast<int>(core != nullptr ? core->logical_index : unit->logical_index),
             .numa = numa != nullptr ? static_cast<int>(numa->os_index) : 0});
    }
    return processors;
}

std::string host_name() {
    std::array<char, 256> name{};
    if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
    return name.data();
}

std::string boot_id() {
    std::ifstream in("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(in, id);
    return id;
}

}  // namespace

ProcessView local_view() {
    ProcessView view;
    view.host = host_name();
    view.machine = boot_id();
    view.cpu_limit = read_cgroup_limits().cpus.value_or(0);
    if (const TopologyHandle topology = load_topology()) {
        view.processors = allowed_processors(topology.get());
        const int cores = hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_CORE);
        view.machine_cores = cores > 0 ? cores : hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_PU);
    }
    if (view.processors.empty()) view.processors.push_back({});
    if (view.machine_cores < 1) view.machine_cores = view.cores();
    return view;
}

}  // namespace trireme::cluster
