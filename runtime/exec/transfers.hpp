// What moves between the host and an asynchronous device in a step, each direction on a stream of its own:
//
//     batch     | samples mb0 | samples mb1 |          | the next step's samples |
//     compute   .....| forward, backward ............... |..............|.......| commit
//     download                    |p|p|p|p| bucket 0    |p|p|p| bucket 1
//     comm                           | sum of 0    |       | sum of 1 |
//     upload                             |p| |p| |p|p|       |p| |p|p|
//
// Gradients travel in pieces, and a piece may be on its way back while another has not come yet; the last two
// lines are those of sums through the host, which have the stream for uploads (staged_sums.hpp).
//
// The memory for a batch has two halves, so that the next step's samples travel while this one computes.
// Compute waits for samples and sums by events, downloads wait for gradients by events, and comm's progress
// thread asks the event of a piece before it sums; the host itself waits for comm, for the commit of the step
// before, and for samples to have left its memory.
//
// Invariant: a buffer is written again only after its last reader. Before anything of a step leaves the
// device, and before the next samples travel, the host waits for the commit of the step before, which comes
// after everything that that step moved. So its half of the batch memory may be written from then on.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/core/virtual_shards.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

/// Bytes of the largest batch.
struct BatchBytes {
    Bytes x{};
    Bytes y{};
};

class DeviceTransfers {
  public:
    /// `buckets`: how many; `microbatches`: the most of any program. `compute` must outlive it.
    DeviceTransfers(Device& device, Stream& compute, BatchBytes batch, int buckets, int microbatches);

    static constexpr int halves = 2;
    /// The half that the step at hand reads.
    [[nodiscard]] int half() const { return half_; }
    [[nodiscard]] int other_half() const { return 1 - half_; }
    /// At the beginning of a step.
    void take_other_half() { half_ = other_half(); }
    /// Where kernels find its batch.
    [[nodiscard]] const std::byte* x() const { return at_hand().x.data(); }
    [[nodiscard]] const std::byte* y() const { return at_hand().y.data(); }
    /// A piece of one end of the batch, and where it belongs.
    struct Piece {
        const std::byte* host = nullptr;
        Bytes offset{};
        Bytes size{};
    };
    /// Starts to copy pieces of x and y to their places; what compute launches after `await_samples` finds
    /// them there.
    void load(int half, int microbatch, const Piece& x, const Piece& y);
    void await_samples(int microbatch);
    /// Waits until the host's memory of these samples of the batch at hand has been read.
    void finish_samples(int microbatch);
    /// Waits for what reads host memory of batches, as far as it can: before that memory goes.
    void finish_uploads() noexcept;

    /// Compute has written the last gradient of a bucket.
    void gradients_ready(int bucket);
    /// Starts to copy ranges of the gradients to the host, one after the other; each has an event behind it.
    struct Range {
        float* host = nullptr;
        float* device = nullptr;
        std::int64_t elements = 0;
        std::shared_ptr<Event> arrived;
    };
    void download(int bucket, std::span<const Range> ranges);

    /// Where sums are formed on the device (device_sums.hpp): whether a bucket's gradients are there.
    [[nodiscard]] comm::Ready gradients_there(int bucket) const;
    void await_gradients(Stream& stream, int bucket);
    /// The event that whoever sums records behind the sum on the device, which compute then waits for.
    [[nodiscard]] const std::shared_ptr<Event>& summed(int bucket) const {
        return summed_.at(static_cast<std::size_t>(bucket));
    }
    void await_sum(int bucket) { compute_.wait(*summed(bucket)); }

  private:
    /// Shared with the progress thread, which may ask one while an exception unwinds here.
    using Events = std::vector<std::shared_ptr<Event>>;

    struct Half {
        Region x;
        Region y;
        Events samples;  ///< by micro-batch
    };

    [[nodiscard]] const Half& at_hand() const { return halves_[static_cast<std::size_t>(half_)]; }

    Stream& compute_;
    std::array<Half, halves> halves_;
    int half_ = 0;
    Events gradients_;               ///< by bucket
    Events summed_;                  ///< by bucket: the sum, on the device
    std::unique_ptr<Stream> batch_;  ///< the streams last: they go first, and wait
    std::unique_ptr<Stream> download_;
};

}  // namespace trireme
