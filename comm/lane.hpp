// A lane: memory in which collectives are played, what is done there beside sending it, and how it gets from
// rank to rank. The step lists are the same, so the sums of a lane have the bits that they have on the host.
//
//     peers empty       messages of the transport lie in the lane's memory: a device's where
//                       Transport::carries_device_memory, or the host's, in front of a device (staged)
//     peers given       ranks read each other's memory where it lies (peer_messages.hpp)
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "runtime/core/memory_ops.hpp"

namespace trireme::comm {

struct LaneSetup {
    std::shared_ptr<MemoryOps> ops;  ///< of the lane's memory; the progress thread calls it
    /// staging_bytes(segment_bytes) of that memory, until the lane closes; empty: comm's own, in the host's.
    std::span<std::byte> staging;
    std::int64_t segment_bytes = 0;  ///< largest message
    /// By rank: memory that its messages lie in, mapped here; my own as it is.
    std::vector<std::span<const std::byte>> peers;
};

/// Memory in which a lane's messages wait to be added.
[[nodiscard]] std::int64_t staging_bytes(std::int64_t segment_bytes);

class StagedBuffer;

/// Where a collective is played: a lane, and what the progress thread does once it has ended, before its
/// ticket says so.
struct OnLane {
    int lane = 0;  ///< 0: host memory
    std::function<void()> finished;
    std::shared_ptr<StagedBuffer> staged = {};  ///< empty: all of the operand is there from the start
};

}  // namespace trireme::comm
