// Small values that the host sends to a device anew in each step, from pinned memory that is used in turn:
// those of the step before may still be on their way.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "runtime/device/device.hpp"

namespace trireme {

class StagedTurns {
  public:
    /// `size`: of the values, at most.
    StagedTurns(Device& device, Bytes size) {
        for (Turn& turn : turns_) turn = {Region(device.staging(), size), device.make_event()};
    }
    /// Copies values to `to`, in stream order. Waits only for what was sent two times before.
    void send(Stream& stream, std::byte* to, std::span<const std::byte> values) {
        const Turn& turn = turns_[sent_ % turns_.size()];
        if (sent_ >= turns_.size()) turn.left->synchronize();
        ++sent_;
        std::memcpy(turn.memory.data(), values.data(), values.size());
        stream.copy(to, turn.memory.data(), Bytes(static_cast<std::int64_t>(values.size())));
        stream.record(*turn.left);
    }

  private:
    struct Turn {
        Region memory;
        std::unique_ptr<Event> left;  ///< behind the last copy from it
    };
    std::array<Turn, 2> turns_;
    std::uint64_t sent_ = 0;
};

}  // namespace trireme
