// How the buckets of a step are summed over ranks: in the host's memory, where kernels write; through the
// host (staged_sums.hpp); or on the device (device_sums.hpp). The executor starts a sum when a bucket's last
// gradient has been launched, waits for its ticket, and finishes it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/exec/transfers.hpp"
#include "runtime/plan/parallel_plan.hpp"

namespace trireme {

class BucketSums {
  public:
    virtual ~BucketSums() = default;
    [[nodiscard]] virtual comm::Ticket start(int bucket, StepKind kind) = 0;
    /// After the ticket: what compute launches from here on finds the sum.
    virtual void finish(int bucket) = 0;
    /// The bucket arena with the sums; empty where they stay on a device.
    [[nodiscard]] virtual std::span<float> host() const { return {}; }
};

/// Sums by comm's step lists, which are made beforehand where there is a fixed tree.
class ListedSums {
  public:
    /// `memory`: the slots of the bucket arena, and scratch behind them. `segment`: elements of the largest
    /// message of the lane.
    ListedSums(const ParallelPlan& plan, comm::Communicator& comm, float* memory, std::int64_t segment);
    [[nodiscard]] comm::Ticket start(int bucket, StepKind kind, comm::Ready ready = {},
                                     comm::OnLane place = {});
    /// This rank's list of such a sum, with the host's segments.
    [[nodiscard]] std::shared_ptr<const comm::StepList> steps(int bucket, StepKind kind) const;
    /// Where the offsets of a bucket's list count from, in the memory.
    [[nodiscard]] std::int64_t origin(int bucket) const {
        return plan_.spec().canonical ? 0 : range_of(bucket).begin;
    }
    [[nodiscard]] const std::string& label(int bucket) const {
        return labels_.at(static_cast<std::size_t>(bucket));
    }

  private:
    [[nodiscard]] IndexRange range_of(int bucket) const {
        return plan_.buckets().buckets()[static_cast<std::size_t>(bucket)].range;
    }

    const ParallelPlan& plan_;
    comm::Communicator& comm_;
    std::span<float> memory_;
    std::vector<std::string> labels_;
    std::map<StepKind, std::vector<std::shared_ptr<const comm::StepList>>> lists_;  ///< by bucket
};

/// Kernels write host memory of comm's, and find the sums in it.
class HostSums final : public BucketSums {
  public:
    HostSums(const ParallelPlan& plan, comm::Communicator& comm, float* gradients)
        : arena_(gradients, static_cast<std::size_t>(plan.buckets().arena_elements().value)),
          listed_(plan, comm, gradients, comm.segment_elements()) {}
    [[nodiscard]] comm::Ticket start(int bucket, StepKind kind) override {
        return listed_.start(bucket, kind);
    }
    void finish(int) override {}
    [[nodiscard]] std::span<float> host() const override { return arena_; }

  private:
    std::span<float> arena_;
    ListedSums listed_;
};

/// What sums of an asynchronous device work on; all must outlive them.
struct SumSite {
    const ParallelPlan* plan = nullptr;
    comm::Communicator* comm = nullptr;
    Device* device = nullptr;
    DeviceTransfers* transfers = nullptr;
    float* gradients = nullptr;  ///< device memory, with room for scratch where sums are formed there
};

}  // namespace trireme
