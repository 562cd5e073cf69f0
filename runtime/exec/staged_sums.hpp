// Sums of an asynchronous device's buckets through pinned memory of the host. A bucket travels in pieces, so
// that three things go on at once inside of it: while comm adds what has come, later pieces are still on
// their way to the host, and earlier ones, already summed over all ranks, on their way back.
//
//     compute    .. gradients of the bucket |e| .................. gradients of the next bucket .. wait(s)
//     download                                | 0 | 1 | 2 | 3 |
//     comm                                        | steps on 0 | on 1 | on 2 | on 3 |
//     upload                                                   | 0 |  | 1 |  | 2 |  | 3 |s|
//
// Pieces come in the order in which this rank's step list touches them first. comm's progress thread asks the
// event of a piece before a step touches it (comm/staged_buffer.hpp), and starts the copies back itself; the
// ticket is done once s is recorded behind the last of them. Steps are played in the order of the list
// whenever pieces come, so the bits are those of a bucket that came whole.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "comm/host_ops.hpp"
#include "comm/staged_buffer.hpp"
#include "runtime/exec/bucket_sums.hpp"

namespace trireme {

/// Adds and copies on the host, and a stream on which results go back to the device. The progress thread
/// alone calls it, until its lane is closed.
class StagedOps final : public comm::HostOps {
  public:
    /// `device` must outlive the last operation.
    explicit StagedOps(Device& device) : device_(device) {}

    void open() override { upload_ = device_.make_stream(); }
    void drain() noexcept override;
    /// Starts to copy floats to the device.
    void upload(float* to, const float* from, std::int64_t elements);
    /// Moves the event behind what was uploaded so far.
    void record(Event& event) { upload_->record(event); }
    /// Waits for uploads, also those of sums that are done, and lets the stream go: comm and tickets may hold
    /// this for longer than there is a device.
    void close() noexcept { upload_.reset(); }

  private:
    Device& device_;
    std::unique_ptr<Stream> upload_;
};

/// A bucket in host memory while it is being summed by one step list.
class StagedBucket final : public comm::StagedBuffer {
  public:
    /// Offsets count from `host` and `device` alike.
    struct Place {
        float* host = nullptr;
        float* device = nullptr;
        IndexRange range;         ///< of the bucket in the first slot, where the sum goes
        std::int64_t slots = 1;   ///< that may hold operands
        std::int64_t stride = 0;  ///< elements from slot to slot
        std::int64_t piece = 0;   ///< elements of the largest piece
    };
    /// Throws DeviceError.
    StagedBucket(std::shared_ptr<const comm::StepList> steps, const Place& place, Device& device,
                 std::shared_ptr<StagedOps> ops);

    /// What is to be downloaded: all that the list touches, by pieces in the order in which it first does.
    [[nodiscard]] std::span<const DeviceTransfers::Range> downloads() const { return downloads_; }
    /// Whether the first piece has arrived.
    [[nodiscard]] comm::Ready ready() const;

    [[nodiscard]] bool arrived(IndexRange range) override;
    /// Ranges that lie side by side are copied back together, as far as a piece goes.
    void settled(IndexRange range) override;
    /// Behind the last step: starts the last copy, records `summed` behind it, and forgets what arrived.
    void finish(Event& summed);

  private:
    struct Piece {
        IndexRange range;
        std::size_t turn = 0;  ///< its place among the downloads
    };

    void upload();

    Place place_;
    std::shared_ptr<StagedOps> ops_;
    std::vector<Piece> pieces_;  ///< in ascending order
    std::vector<DeviceTransfers::Range> downloads_;
    std::size_t there_ = 0;  ///< downloads that have arrived
    IndexRange settled_;     ///< and not copied back yet
};

class StagedSums final : public BucketSums {
  public:
    explicit StagedSums(const SumSite& site);
    /// Gives up sums that are under way; afterwards no copy of theirs is.
    ~StagedSums() override;
    StagedSums(const StagedSums&) = delete;
    StagedSums& operator=(const StagedSums&) = delete;

    [[nodiscard]] comm::Ticket start(int bucket, StepKind kind) override;
    void finish(int bucket) override { site_.transfers->await_sum(bucket); }
    [[nodiscard]] std::span<float> host() const override;

  private:
    [[nodiscard]] std::shared_ptr<StagedBucket> make_bucket(int bucket, StepKind kind) const;

    SumSite site_;
    Region memory_;
    Pinned pinned_;
    ListedSums listed_;
    std::shared_ptr<StagedOps> ops_;
    std::map<StepKind, std::vector<std::shared_ptr<StagedBucket>>> buckets_;
    int lane_ = 0;
};

}  // namespace trireme
