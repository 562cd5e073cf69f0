#include "runtime/exec/sum_choice.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"
#include "runtime/core/quantile.hpp"
#include "runtime/exec/library_join.hpp"
#include "runtime/exec/staged_sums.hpp"
#include "runtime/exec/sum_proof.hpp"

namespace trireme {
namespace {

constexpr double meeting_seconds = 120;
constexpr double joining_seconds = 60;  ///< below the one above: who waits in vain still meets the others
constexpr int measured_sums = 5;        ///< behind one that warms up

Deadline meeting() { return Deadline::in_seconds(meeting_seconds); }

SumFacts facts_of(comm::Communicator& comm, Device& device) {
    SumFacts mine;
    mine.host = comm.host();
    mine.device = device.identity();
    mine.shares_memory = device.shares_memory();
    mine.mpi_carries = comm.carries_device_memory();
    mine.library_refusal = "the device has no such library";
    if (const auto library = device.collectives()) {
        mine.library_refusal = library->refusal();
        if (mine.library_refusal.empty()) mine.library = library->name();
    }
    return mine;
}

/// Those of all ranks.
std::vector<SumFacts> gathered(const SumFacts& mine, comm::Communicator& comm) {
    const nlohmann::json told{{"host", mine.host},
                              {"device", mine.device},
                              {"shares_memory", mine.shares_memory},
                              {"mpi_carries", mine.mpi_carries},
                              {"library", mine.library},
                              {"library_refusal", mine.library_refusal}};
    std::vector<SumFacts> all;
    for (const std::string& text : comm.all_gather(told.dump(), "ways of gradients", meeting())) {
        const nlohmann::json one = nlohmann::json::parse(text);
        all.push_back({one.at("host").get<std::string>(),
                       one.at("device").get<std::string>(),
                       one.at("shares_memory").get<bool>(),
                       one.at("mpi_carries").get<bool>(),
                       one.at("library").get<std::string>(),
                       one.at("library_refusal").get<std::string>(),
                       {}});
    }
    return all;
}

bool can_take(const std::vector<SumCandidate>& candidates, SumPath path) {
    return std::any_of(candidates.begin(), candidates.end(), [&](const SumCandidate& candidate) {
        return candidate.path == path && candidate.refusal.empty();
    });
}

void refuse(std::vector<SumCandidate>& candidates, SumPath path, const std::string& why) {
    for (SumCandidate& candidate : candidates) {
        if (candidate.path == path) candidate.refusal = why;
    }
}

int largest_bucket(const ParallelPlan& plan) {
    const auto& buckets = plan.buckets().buckets();
    const auto largest = std::max_element(buckets.begin(), buckets.end(), [](const auto& a, const auto& b) {
        return a.range.size() < b.range.size();
    });
    return static_cast<int>(largest - buckets.begin());
}

Bytes size_of_bucket(const ParallelPlan& plan, int bucket) {
    return bytes_of(Elements(plan.buckets().buckets()[static_cast<std::size_t>(bucket)].range.size()),
                    DType::f32);
}

/// Where to look when sums come out wrong that no call has refused.
std::string_view what_damages(SumPath path) {
    return path == SumPath::ipc
               ? ": what devices read of each other arrives damaged. An IOMMU or PCIe ACS between "
                 "them is the usual cause"
               : ": what carries gradients damages them";
}

}  // namespace

SumChoice::SumChoice(const ParallelPlan& plan, comm::Communicator& comm, Device& device)
    : plan_(plan), comm_(comm), device_(device) {
    wishes_ = {plan.spec().path, plan.spec().canonical, plan.spec().algorithm != comm::Algorithm::automatic};
    if (comm.size() == 1 || wishes_.path == SumPath::staged) {
        candidates_ = {{SumPath::staged, {}}};
    } else {
        find_candidates();
    }
    choices_ = sum_choices(candidates_, wishes_.path);
    make_memory();
}

Bytes SumChoice::extra_bytes(const ParallelPlan& plan, int rank) {
    if (plan.world() == 1 || plan.spec().path == SumPath::staged) return {};
    return LaneGeometry::of(plan, rank).size() - bytes_of(plan.device_gradients(rank), DType::f32);
}

void SumChoice::find_candidates() {
    std::vector<SumFacts> ranks = gathered(facts_of(comm_, device_), comm_);
    candidates_ = sum_candidates(ranks, wishes_);
    const bool wanted = wishes_.path == SumPath::automatic || wishes_.path == SumPath::ipc;
    if (!wanted || !can_take(candidates_, SumPath::ipc)) return;
    // Whether ranks reach each other's memory is known only once they have tried.
    peers_.emplace(device_, comm_, LaneGeometry::of(plan_, comm_.rank()).size(), meeting());
    const std::vector<std::string> refusals = comm_.all_gather(peers_->refusal(), "mapped memory", meeting());
    for (std::size_t r = 0; r < ranks.size(); ++r) ranks[r].map_refusal = refusals[r];
    candidates_ = sum_candidates(ranks, wishes_);
}

void SumChoice::make_memory() {
    if (peers_ && peers_->data() == nullptr) peers_.reset();  // this device shares none
    if (!peers_) {
        const bool lane = std::find(choices_.begin(), choices_.end(), SumPath::mpi) != choices_.end();
        region_ = Region(device_.memory(), lane ? LaneGeometry::of(plan_, comm_.rank()).size()
                                                : bytes_of(plan_.device_gradients(comm_.rank()), DType::f32));
    }
    gradients_ = reinterpret_cast<float*>(peers_ ? peers_->data() : region_.data());
}

std::unique_ptr<BucketSums> SumChoice::make(SumPath path, const SumSite& site,
                                            const StreamMemoryOps::Add& add) {
    switch (path) {
        case SumPath::ipc:
            return std::make_unique<LaneSums>(site, add, peers_->views());
        case SumPath::mpi:
            return std::make_unique<LaneSums>(site, add, std::vector<std::span<const std::byte>>{});
        case SumPath::nccl:
            return std::make_unique<LibrarySums>(
                site, join_library(device_.collectives(), comm_, joining_seconds, meeting()));
        case SumPath::staged:
        case SumPath::automatic:
            break;
    }
    return std::make_unique<StagedSums>(site);
}

/// Empty where no rank has a failure; else the first of them, with its rank. Where there is nothing else to
/// choose, all of them throw it.
std::string SumChoice::failure_of_all(const std::string& mine) {
    const std::vector<std::string> failures = comm_.all_gather(mine, "way of gradients", meeting());
    const auto failed = std::ranges::find_if(failures, [](const std::string& one) { return !one.empty(); });
    if (failed == failures.end()) return {};
    std::string text = fmt::format("rank {}: {}", failed - failures.begin(), *failed);
    if (choices_.size() == 1)
        throw DeviceError(text + ". Remove parallel.algorithm, and the job takes the best of what is there");
    return text;
}

/// Empty where all ranks have made it and it sums right; else what failed, and on which rank.
std::string SumChoice::try_to_make(SumPath path, const SumSite& site, Stream& compute,
                                   const StreamMemoryOps::Add& add, std::unique_ptr<BucketSums>& sums) {
    if (path == SumPath::staged && choices_.size() == 1) {  // there is nothing to agree about
        sums = make(path, site, add);
        return {};
    }
    std::string failure;
    std::optional<SumProof> proof;
    try {
        sums = make(path, site, add);
        // Not of the host's memory, by which the others are measured: it is always there.
        if (path != SumPath::staged)
            proof.emplace(site, compute, largest_bucket(plan_), static_cast<std::uint32_t>(path));
    } catch (const DeviceError& error) {
        failure = error.what();
    }
    failure = failure_of_all(failure);
    if (!failure.empty() || !proof) return failure;
    failure = proof->failure_of(*sums, meeting());
    if (!failure.empty()) failure += what_damages(path);
    return failure_of_all(failure);
}

double SumChoice::measure(BucketSums& sums, const SumSite& site, Stream& compute) {
    using Clock = std::chrono::steady_clock;
    const int bucket = largest_bucket(plan_);
    std::vector<double> seconds;
    for (int i = 0; i <= measured_sums; ++i) {
        comm_.barrier("measured way of gradients", meeting());
        const auto begin = Clock::now();
        site.transfers->gradients_ready(bucket);
        const comm::Ticket sum = sums.start(bucket, StepKind::full);
        comm_.wait(sum, meeting());
        sums.finish(bucket);
        compute.synchronize();
        if (i > 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
    return quantile(seconds, 0.5);
}

std::unique_ptr<BucketSums> SumChoice::take(DeviceTransfers& transfers, Stream& compute,
                                            const StreamMemoryOps::Add& add) {
    const SumSite site{&plan_, &comm_, &device_, &transfers, gradients_};
    std::vector<MeasuredPath> measured;
    std::unique_ptr<BucketSums> best;
    for (const SumPath path : choices_) {
        std::unique_ptr<BucketSums> sums;
        const std::string failure = try_to_make(path, site, compute, add, sums);
        if (!failure.empty()) {
            refuse(candidates_, path, failure);
            continue;
        }
        // Rank 0's clock decides for all of them.
        double seconds = 0;
        if (choices_.size() > 1) {
            seconds = measure(*sums, site, compute);
            comm_.broadcast(std::as_writable_bytes(std::span(&seconds, 1)), 0, "time of a way", meeting());
        }
        if (!best || seconds < quickest(measured).seconds) best = std::move(sums);
        measured.push_back({path, seconds});
    }
    if (comm_.size() > 1) {
        text_ = sums_text(measured, candidates_, wishes_.path, size_of_bucket(plan_, largest_bucket(plan_)));
    }
    return best;
}

}  // namespace trireme
