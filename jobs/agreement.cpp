#include "jobs/agreement.hpp"

#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cluster/topology.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"

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

void agree(const PlannedJob& job, comm::Communicator& comm) {
    if (comm.size() != job.world()) {
        throw ConfigError(
            fmt::format("the launcher announced {} ranks but MPI joined {}: mpirun and the MPI library do "
                        "not belong together "
                        "(trireme doctor)",
                        job.world(), comm.size()));
    }
    nlohmann::json mine{{"fingerprints", nlohmann::json::object()},
                        {"view", cluster::serialize(cluster::local_view())},
                        {"threads", job.selection().threads()}};
    for (const auto& [name, value] : job.fingerprints()) mine["fingerprints"][name] = value;
    std::vector<nlohmann::json> ranks;
    for (const std::string& text :
         comm.all_gather(mine.dump(), "plan agreement", Deadline::in_seconds(job.spec().deadline.join))) {
        ranks.push_back(nlohmann::json::parse(text));
    }
    compare(ranks);
    if (comm.rank() != 0) return;
    warn_of_crowding(ranks);
    if (!job.spec().precision.bf16) return;
    if (const std::string caveat = bf16_caveat(job.device()); !caveat.empty()) log::warn("{}", caveat);
}

}  // namespace trireme::jobs
