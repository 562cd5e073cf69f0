#include "runtime/plan/sum_path.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme {
namespace {

constexpr std::array all_paths{SumPath::staged, SumPath::ipc, SumPath::mpi, SumPath::nccl};

using Ranks = std::span<const SumFacts>;

/// The lowest rank of which `holds` is false, as "rank 3 (host n2)"; empty where there is none.
template <class Holds>
std::string first_without(Ranks ranks, Holds holds) {
    const auto found = std::find_if_not(ranks.begin(), ranks.end(), holds);
    if (found == ranks.end()) return {};
    return fmt::format("rank {} (host {})", found - ranks.begin(), found->host);
}

std::string refusal_of_ipc(Ranks ranks) {
    std::set<std::string> hosts;
    for (const SumFacts& rank : ranks) hosts.insert(rank.host);
    if (hosts.size() > 1) return fmt::format("the ranks are on {} hosts", hosts.size());
    const std::string alone = first_without(ranks, [](const SumFacts& r) { return r.shares_memory; });
    if (!alone.empty()) return "memory of the device of " + alone + " cannot be shared";
    const auto blind =
        std::find_if(ranks.begin(), ranks.end(), [](const SumFacts& r) { return !r.map_refusal.empty(); });
    if (blind != ranks.end()) return fmt::format("rank {}: {}", blind - ranks.begin(), blind->map_refusal);
    return {};
}

std::string refusal_of_mpi(Ranks ranks) {
    const std::string unaware = first_without(ranks, [](const SumFacts& r) { return r.mpi_carries; });
    if (unaware.empty()) return {};
    return "the MPI library of " + unaware + " is not CUDA-aware";
}

std::string refusal_of_nccl(Ranks ranks, const SumWishes& wishes) {
    if (wishes.canonical) return "it forms sums in an order of its own, and the job is canonical";
    if (wishes.algorithm_pinned) return "parallel.algorithm names how comm sums";
    std::set<std::string> devices;
    for (const SumFacts& rank : ranks) {
        if (rank.library.empty()) return rank.library_refusal;
        if (rank.library != ranks.front().library)
            return fmt::format("ranks have {} and {}", ranks.front().library, rank.library);
        if (!rank.device.empty() && !devices.insert(rank.device).second)
            return "ranks share a GPU, which it does not take";
    }
    return {};
}

std::string refusal_of(SumPath path, Ranks ranks, const SumWishes& wishes) {
    switch (path) {
        case SumPath::ipc:
            return refusal_of_ipc(ranks);
        case SumPath::mpi:
            return refusal_of_mpi(ranks);
        case SumPath::nccl:
            return refusal_of_nccl(ranks, wishes);
        case SumPath::staged:
        case SumPath::automatic:
            break;
    }
    return {};
}

}  // namespace

std::string_view name_of(SumPath path) {
    switch (path) {
        case SumPath::automatic:
            return "automatic";
        case SumPath::staged:
            return "staged";
        case SumPath::ipc:
            return "ipc";
        case SumPath::mpi:
            return "mpi";
        case SumPath::nccl:
            return "nccl";
    }
    return "?";
}

std::optional<SumPath> sum_path_of(std::string_view word) {
    const auto found =
        std::find_if(all_paths.begin(), all_paths.end(), [&](SumPath p) { return name_of(p) == word; });
    return found == all_paths.end() ? std::nullopt : std::optional(*found);
}

std::vector<SumCandidate> sum_candidates(Ranks ranks, const SumWishes& wishes) {
    std::vector<SumCandidate> candidates;
    for (const SumPath path : all_paths) candidates.push_back({path, refusal_of(path, ranks, wishes)});
    // That an MPI library is CUDA-aware does not say that what it sends by is; where it is not, the process
    // dies of the first message (openucx/ucx#7845).
    const bool others = refusal_of_ipc(ranks).empty() || refusal_of_nccl(ranks, wishes).empty();
    for (SumCandidate& candidate : candidates) {
        if (candidate.path == SumPath::mpi && wishes.path == SumPath::automatic &&
            candidate.refusal.empty() && others)
            candidate.refusal =
                "other ways do without it, and only its first message shows whether it works; pin it to try "
                "it";
    }
    return candidates;
}

std::vector<SumPath> sum_choices(std::span<const SumCandidate> candidates, SumPath pinned) {
    std::vector<SumPath> choices;
    for (const SumCandidate& candidate : candidates) {
        if (pinned != SumPath::automatic && candidate.path != pinned) continue;
        if (candidate.refusal.empty()) {
            choices.push_back(candidate.path);
        } else if (candidate.path == pinned) {
            throw DeviceError(
                fmt::format("parallel.algorithm = {}: {}. Remove the key, and the job takes the best of "
                            "what is there",
                            name_of(pinned), candidate.refusal));
        }
    }
    return choices;
}

const MeasuredPath& quickest(std::span<const MeasuredPath> measured) {
    ensure(!measured.empty(), "gradients have a way");
    return *std::min_element(
        measured.begin(), measured.end(),
        [](const MeasuredPath& a, const MeasuredPath& b) { return a.seconds < b.seconds; });
}

std::string sums_text(std::span<const MeasuredPath> measured, std::span<const SumCandidate> candidates,
                      SumPath pinned, Bytes bucket) {
    std::string text = fmt::format("gradients between devices: {}", name_of(quickest(measured).path));
    if (pinned != SumPath::automatic) return text + ", pinned";
    if (measured.size() > 1) {
        text += fmt::format(" (a sum of {}:", human_bytes(bucket));
        for (const MeasuredPath& one : measured)
            text += fmt::format("{} {} {:.2f} ms", one.path == measured.front().path ? "" : ",",
                                name_of(one.path), one.seconds * 1e3);
        text += ')';
    }
    for (const SumCandidate& candidate : candidates) {
        if (!candidate.refusal.empty())
            text += fmt::format("; not {}: {}", name_of(candidate.path), candidate.refusal);
    }
    return text;
}

std::string refusal_of_host_path(SumPath path, std::string_view device_kind) {
    if (path == SumPath::automatic) return {};
    return fmt::format(
        "parallel.algorithm = {} says how gradients travel between GPUs, and this job runs on {}: remove "
        "the key, or set job.device = cuda",
        name_of(path), device_kind);
}

}  // namespace trireme
