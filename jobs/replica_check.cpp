#include "jobs/replica_check.hpp"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

/// "rank 1" or "ranks 0, 2, 3".
std::string ranks_text(const std::vector<int>& ranks) {
    return fmt::format("{} {}", ranks.size() == 1 ? "rank" : "ranks", fmt::join(ranks, ", "));
}

}  // namespace

std::uint64_t params_hash(const ModelState& state) {
    state.fetch();
    std::uint64_t hash = 0;
    for (layers::ParamId p : state.by_name()) {
        const auto bytes = std::as_bytes(state.param(p));
        hash = xxh3(bytes.data(), bytes.size(), hash);
    }
    return hash;
}

ReplicaVerdict judge_replicas(const std::vector<std::string>& hashes) {
    std::map<std::string, std::vector<int>> ranks_of;
    for (std::size_t r = 0; r < hashes.size(); ++r) ranks_of[hashes[r]].push_back(static_cast<int>(r));
    ReplicaVerdict verdict;
    if (ranks_of.size() <= 1) return verdict;
    const auto most = std::max_element(ranks_of.begin(), ranks_of.end(), [](const auto& a, const auto& b) {
        return a.second.size() < b.second.size();
    });
    verdict.majority = 2 * most->second.size() > hashes.size();
    for (std::size_t r = 0; r < hashes.size(); ++r) {
        if (!verdict.majority || hashes[r] != most->first) verdict.suspects.push_back(static_cast<int>(r));
    }
    std::vector<std::string> parts;
    for (const auto& [hash, ranks] : ranks_of)
        parts.push_back(fmt::format("{} {} {}", ranks_text(ranks), ranks.size() == 1 ? "has" : "have", hash));
    std::sort(parts.begin(), parts.end());
    verdict.text = fmt::format("{}", fmt::join(parts, "; "));
    return verdict;
}

void check_replicas(const ModelState& state, std::int64_t step, comm::Communicator& comm,
                    const Deadline& deadline) {
    comm.set_state(Phase::step, "replica check");
    const ReplicaVerdict verdict =
        judge_replicas(comm.all_gather(hex64(params_hash(state)), "replica check", deadline));
    if (verdict.suspects.empty()) return;
    const bool accused =
        std::find(verdict.suspects.begin(), verdict.suspects.end(), comm.rank()) != verdict.suspects.end();
    // Those that are right wait for the word of one that is wrong: the verdict then names its rank and host.
    if (!accused) comm.barrier("word of the rank whose parameters differ", deadline);
    throw IntegrityError(fmt::format(
        "after step {} the parameters are not the same on all ranks (job.hash_every): {}: {}. A memory, core "
        "or "
        "device is broken there, or kernels do not repeat their bits; take the host out, and start again "
        "from a "
        "checkpoint of before (checkpoint.resume)",
        step,
        verdict.majority ? fmt::format("{} differ{} from the majority", ranks_text(verdict.suspects),
                                       verdict.suspects.size() == 1 ? "s" : "")
                         : "no majority tells which are right",
        verdict.text));
}

}  // namespace trireme::jobs
