// Memory that the host fills and reads and the library takes for a device's.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "tests/gpu/gpu_fixture.hpp"

namespace trireme::emulated {

/// Begins `past` bytes behind a multiple of 256, with as many more behind it, which nobody may write.
class DeviceMemory {
  public:
    DeviceMemory(std::int64_t bytes, std::int64_t past) : past_(past), size_(guard + bytes + guard) {
        memory_ = space().allocate(Bytes(size_));
        std::memset(memory_, filler, static_cast<std::size_t>(size_));
    }
    DeviceMemory(DeviceMemory&& other) noexcept
        : past_(other.past_), size_(other.size_), memory_(std::exchange(other.memory_, nullptr)) {}
    DeviceMemory& operator=(DeviceMemory&&) = delete;
    ~DeviceMemory() {
        if (memory_ != nullptr) space().release(memory_, Bytes(size_));
    }

    [[nodiscard]] std::byte* data() const { return memory_ + past_; }
    /// Nobody wrote in front of it or behind `bytes`.
    [[nodiscard]] bool is_whole(std::int64_t bytes) const {
        for (std::int64_t i = 0; i < size_; ++i) {
            const bool outside = i < past_ || i >= past_ + bytes;
            if (outside && memory_[i] != std::byte{filler}) return false;
        }
        return true;
    }

  private:
    static constexpr std::int64_t guard = 512;
    static constexpr unsigned char filler = 0xff;  // as numbers: not one
    static gpu::ManagedMemory& space() {
        static gpu::ManagedMemory memory;
        return memory;
    }

    std::int64_t past_;
    std::int64_t size_;
    std::byte* memory_;
};

}  // namespace trireme::emulated
