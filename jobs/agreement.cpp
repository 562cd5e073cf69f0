#include "jobs/agreement.hpp"

#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cluster/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/device/sharing.hpp"

namespace trireme::jobs {
namespace {

void compare(const std::vector<nlohmann::json>& ranks) {
    std::string differences;
    for (std::size_t r = 1; r < ranks.size(); ++r) {
        for (const auto& [name, value] : ranks.front().at("fingerprints").items()) {
            const auto& other = ranks[r].at("fingerprints").at(name);
            if (other != value)
                differences +=
                    fmt::format("\n  {}: rank 0 has {}, rank {} has {}", name, value.dump(), r, other.dump());
        }
    }
    if (differences.empty()) return;
    throw ConfigError(
        "the ranks do not run the same job; start all of them with the same binary, job file, flags and "
        "data:" +
        differences);
}

/// Ranks on one GPU share its speed and its memory, which nobody notices unless it is told.
void judge_sharing(const std::vector<nlohmann::json>& ranks, bool allowed, bool speaks) {
    std::vector<Occupant> occupants;
    for (const nlohmann::json& rank : ranks) {
        occupants.push_back({static_cast<int>(occupants.size()),
                             cluster::parse_view(rank.at("view").get<std::string>()).host,
                             rank.at("device").get<std::string>()});
    }
    const std::string shared = shared_devices(occupants);
    if (shared.empty()) return;
    if (!allowed) {
        throw DeviceError("ranks took one GPU together:" + shared +
                          "\nstart no more ranks on a host than it has GPUs (mpirun --map-by ppr:N:node), "
                          "show each rank its own (CUDA_VISIBLE_DEVICES), or set job.share_device = true");
    }
    if (speaks) log::warn("ranks share a GPU, its speed and its memory:{}", shared);
}

void warn_of_crowding(const std::vector<nlohmann::json>& ranks) {
    std::vector<std::string> views;
    std::vector<int> threads;
    for (const nlohmann::json& rank : ranks) {
        views.push_back(rank.at("view").get<std::string>());
        threads.push_back(rank.at("threads").get<int>());
    }
    const char* policy = std::getenv("OMP_WAIT_POLICY");
    for (const std::string& warning : cluster::oversubscription_warnings(
             cluster::read_cluster(views), threads, policy == nullptr ? "" : policy)) {
        log::warn("{}", warning);
    }
}

}  // namespace

void agree(PlannedJob& job, comm::Communicator& comm) {
    if (comm.size() != job.world()) {
        throw ConfigError(
            fmt::format("the launcher announced {} ranks but MPI joined {}: mpirun and the MPI library do "
                        "not belong together "
                        "(trireme doctor)",
                        job.world(), comm.size()));
    }
    job.tune(comm);
    nlohmann::json mine{{"fingerprints", nlohmann::json::object()},
                        {"view", cluster::serialize(cluster::local_view())},
                        {"threads", job.selection().threads()},
                        {"device", job.device().identity()}};
    for (const auto& [name, value] : job.fingerprints()) mine["fingerprints"][name] = value;
    std::vector<nlohmann::json> ranks;
    for (const std::string& text :
         comm.all_gather(mine.dump(), "plan agreement", Deadline::in_seconds(job.spec().deadline.join))) {
        ranks.push_back(nlohmann::json::parse(text));
    }
    compare(ranks);
    judge_sharing(ranks, job.spec().job.share_device, comm.rank() == 0);
    if (comm.rank() != 0) return;
    warn_of_crowding(ranks);
    if (job.spec().precision.storage != DType::bf16) return;
    if (const std::string caveat = bf16_caveat(job.device()); !caveat.empty()) log::warn("{}", caveat);
}

}  // namespace trireme::jobs
