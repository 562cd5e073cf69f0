// Sums of buckets that never leave the devices. Neither the host nor its memory has a part in them but to say
// what comes next:
//
//     compute   .... gradients of bucket 0 |e| ............... gradients of bucket 1 |e| ...... wait(s)
//     commit lane                                   adds, copies |s|                          adds, copies
//     |s|
//
// e is the event that comm asks before it plays the step list on the lane's stream (LaneSums), or that the
// library's stream waits for (LibrarySums); behind s the sum is there.
#pragma once

#include <memory>
#include <vector>

#include "runtime/device/collective_library.hpp"
#include "runtime/exec/bucket_sums.hpp"
#include "runtime/exec/peer_memory.hpp"
#include "runtime/exec/stream_memory_ops.hpp"

namespace trireme {

/// Of device memory that holds gradients and a lane's staging: [slots and scratch | staging].
struct LaneGeometry {
    std::int64_t segment_bytes = 0;
    Bytes gradients{};
    Bytes staging{};
    [[nodiscard]] Bytes size() const { return gradients + staging; }
    /// Segments of some MiB, so that few messages have to meet; smaller where buckets are.
    [[nodiscard]] static LaneGeometry of(const ParallelPlan& plan, int rank);
};

/// comm's step lists in device memory: over memory that ranks map of each other, or by a message library that
/// takes device memory.
class LaneSums final : public BucketSums {
  public:
    /// `site.gradients` begins memory of LaneGeometry::size(). `peers`: all ranks' views of it, or empty.
    LaneSums(const SumSite& site, StreamMemoryOps::Add add, std::vector<std::span<const std::byte>> peers);
    ~LaneSums() override;
    LaneSums(const LaneSums&) = delete;
    LaneSums& operator=(const LaneSums&) = delete;

    [[nodiscard]] comm::Ticket start(int bucket, StepKind kind) override;
    void finish(int bucket) override { site_.transfers->await_sum(bucket); }

  private:
    SumSite site_;
    ListedSums listed_;
    std::shared_ptr<StreamMemoryOps> ops_;
    int lane_ = 0;
};

/// A library's sums. What they wait for is told to comm by a barrier of their own, so that a rank which does
/// not come is named as in any other sum.
class LibrarySums final : public BucketSums {
  public:
    LibrarySums(const SumSite& site, std::unique_ptr<LibrarySum> library);
    ~LibrarySums() override;
    LibrarySums(const LibrarySums&) = delete;
    LibrarySums& operator=(const LibrarySums&) = delete;

    [[nodiscard]] comm::Ticket start(int bucket, StepKind kind) override;
    void finish(int bucket) override { site_.transfers->await_sum(bucket); }

  private:
    SumSite site_;
    std::vector<std::string> labels_;
    std::vector<comm::Ticket> started_;  ///< by bucket, the last one
    std::unique_ptr<LibrarySum> library_;
    std::unique_ptr<Stream> stream_;
};

}  // namespace trireme
