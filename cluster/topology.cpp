#include "cluster/topology.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme::cluster {
namespace {

/// Raised when the meaning of a line changes; ranks of two builds then say so instead of misreading each
/// other.
constexpr int line_version = 1;

std::set<int> cores_of(const ProcessView& view) {
    std::set<int> cores;
    for (const auto& p : view.processors) cores.insert(p.core);
    return cores;
}

std::string plural(std::size_t n, std::string_view noun) {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

std::vector<int> ranks_of(const ClusterView& cluster, int node) {
    std::vector<int> ranks;
    for (std::size_t r = 0; r < cluster.topology.ranks.size(); ++r) {
        if (cluster.topology.ranks[r].node == node) ranks.push_back(static_cast<int>(r));
    }
    return ranks;
}

const ProcessView& view_of(const ClusterView& cluster, int rank) {
    return cluster.views.at(static_cast<std::size_t>(rank));
}

}  // namespace

int ProcessView::cores() const { return static_cast<int>(cores_of(*this).size()); }

int ProcessView::numa_nodes() const {
    std::set<int> nodes;
    for (const auto& p : processors) nodes.insert(p.numa);
    return static_cast<int>(nodes.size());
}

std::string serialize(const ProcessView& view) {
    auto processors = nlohmann::json::array();
    for (const auto& p : view.processors) processors.push_back({p.id, p.core, p.numa});
    const nlohmann::json line = {{"topology", line_version},    {"host", view.host},
                                 {"machine", view.machine},     {"machine_cores", view.machine_cores},
                                 {"cpu_limit", view.cpu_limit}, {"processors", std::move(processors)}};
    // Host names are bytes of somebody else: what is no UTF-8 is replaced, not thrown at.
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ProcessView parse_view(std::string_view line) {
    try {
        const auto json = nlohmann::json::parse(line);
        if (const int version = json.at("topology").get<int>(); version != line_version) {
            throw ConfigError(
                fmt::format("its topology line has version {}, this build reads version {}: install the same "
                            "build on all "
                            "hosts",
                            version, line_version));
        }
        ProcessView view;
        view.host = json.at("host").get<std::string>();
        view.machine = json.at("machine").get<std::string>();
        view.machine_cores = json.at("machine_cores").get<int>();
        view.cpu_limit = json.at("cpu_limit").get<double>();
        for (const auto& p : json.at("processors")) {
            view.processors.push_back({p.at(0).get<int>(), p.at(1).get<int>(), p.at(2).get<int>()});
        }
        return view;
    } catch (const nlohmann::json::exception& e) {
        throw ConfigError(fmt::format(
            "its topology line is malformed ({}): install the same build on all hosts", e.what()));
    }
}

ClusterView read_cluster(std::span<const std::string> lines) {
    ClusterView cluster;
    std::map<std::pair<std::string, std::string>, int> node_of;
    std::vector<int> ranks_on_node;
    for (std::size_t r = 0; r < lines.size(); ++r) {
        try {
            cluster.views.push_back(parse_view(lines[r]));
        } catch (const ConfigError& e) {
            throw ConfigError(fmt::format("rank {}: {}", r, e.what()));
        }
        const ProcessView& view = cluster.views.back();
        const auto [found, is_new] =
            node_of.try_emplace({view.host, view.machine}, static_cast<int>(node_of.size()));
        if (is_new) ranks_on_node.push_back(0);
        Placement place;
        place.host = view.host;
        place.node = found->second;
        place.local_rank = ranks_on_node[static_cast<std::size_t>(place.node)]++;
        for (const auto& p : view.processors) place.cores.push_back(p.id);
        cluster.topology.ranks.push_back(std::move(place));
    }
    cluster.topology.nodes = static_cast<int>(ranks_on_node.size());
    for (auto& place : cluster.topology.ranks) {
        place.local_size = ranks_on_node[static_cast<std::size_t>(place.node)];
    }
    return cluster;
}

int usable_cores(const ClusterView& cluster, int node) {
    std::set<int> cores;
    double limit = 0;
    for (const int r : ranks_of(cluster, node)) {
        const ProcessView& view = view_of(cluster, r);
        cores.merge(cores_of(view));
        // Ranks of a host are taken to share one control group: that is how containers and Slurm jobs are
        // made.
        if (view.cpu_limit > 0) limit = limit > 0 ? std::min(limit, view.cpu_limit) : view.cpu_limit;
    }
    auto usable = static_cast<int>(cores.size());
    if (limit > 0 && limit < usable) usable = static_cast<int>(std::floor(limit));
    return std::max(1, usable);
}

int default_kernel_threads(const ClusterView& cluster, int rank) {
    const Placement& place = cluster.topology.ranks.at(static_cast<std::size_t>(rank));
    const int share = usable_cores(cluster, place.node) / place.local_size;
    return std::max(1, std::min(share, view_of(cluster, rank).cores()));
}

std::vector<std::string> oversubscription_warnings(const ClusterView& cluster, std::span<const int> threads,
                                                   std::string_view wait_policy) {
    ensure(threads.size() == cluster.views.size(), "a thread count is given for each rank");
    std::vector<std::string> warnings;
    for (int node = 0; node < cluster.topology.nodes; ++node) {
        const auto ranks = ranks_of(cluster, node);
        const int cores = usable_cores(cluster, node);
        int total = 0;
        for (const int r : ranks) total += threads[static_cast<std::size_t>(r)];
        if (total > cores) {
            std::string remedy;
            if (static_cast<int>(ranks.size()) > cores) {
                remedy =
                    fmt::format("start at most {} here", plural(static_cast<std::size_t>(cores), "rank"));
            } else {
                remedy = fmt::format("set --job.threads {}", cores / static_cast<int>(ranks.size()));
            }
            if (wait_policy != "passive" && wait_policy != "PASSIVE") {
                remedy += ", or export OMP_WAIT_POLICY=passive so that waiting threads do not spin";
            }
            warnings.push_back(fmt::format("host {}: {} with {} in all share {}: steps will be slow; {}",
                                           view_of(cluster, ranks.front()).host, plural(ranks.size(), "rank"),
                                           plural(static_cast<std::size_t>(total), "kernel thread"),
                                           plural(static_cast<std::size_t>(cores), "core"), remedy));
            continue;
        }
        for (const int r : ranks) {
            const int own = view_of(cluster, r).cores();
            const int wanted = threads[static_cast<std::size_t>(r)];
            if (wanted <= own) continue;
            warnings.push_back(fmt::format(
                "rank {} (host {}): {} on the {} that it is bound to; start with mpirun --bind-to none, or "
                "--map-by slot:PE={}",
                r, view_of(cluster, r).host, plural(static_cast<std::size_t>(wanted), "kernel thread"),
                plural(static_cast<std::size_t>(own), "core"), wanted));
        }
    }
    return warnings;
}

std::string describe(const ClusterView& cluster) {
    std::string text = fmt::format("{} on {}\n", plural(cluster.views.size(), "rank"),
                                   plural(static_cast<std::size_t>(cluster.topology.nodes), "node"));
    for (int node = 0; node < cluster.topology.nodes; ++node) {
        const auto ranks = ranks_of(cluster, node);
        const ProcessView& first = view_of(cluster, ranks.front());
        text += fmt::format("  node {} ({}): {} {}, {} of {} usable\n", node, first.host,
                            ranks.size() == 1 ? "rank" : "ranks", number_ranges(ranks),
                            plural(static_cast<std::size_t>(usable_cores(cluster, node)), "core"),
                            first.machine_cores);
    }
    return text;
}

std::string number_ranges(std::span<const int> numbers) {
    std::string text;
    for (std::size_t i = 0; i < numbers.size();) {
        std::size_t last = i;
        while (last + 1 < numbers.size() && numbers[last + 1] == numbers[last] + 1) ++last;
        if (!text.empty()) text += ',';
        text += last == i ? fmt::format("{}", numbers[i]) : fmt::format("{}-{}", numbers[i], numbers[last]);
        i = last + 1;
    }
    return text;
}

}  // namespace trireme::cluster
