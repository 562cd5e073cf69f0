// Where memory lives. comm and io see device memory only through this interface, so that they know no CUDA.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include "runtime/core/strong.hpp"

namespace trireme {

enum class MemoryKind { host, pinned, device };

class MemorySpace {
  public:
    virtual ~MemorySpace() = default;
    [[nodiscard]] virtual MemoryKind kind() const = 0;
    [[nodiscard]] virtual std::string_view name() const = 0;
    /// Zeroed memory aligned to at least 64 bytes. Throws DeviceError naming the size when there is none.
    [[nodiscard]] virtual std::byte* allocate(Bytes size) = 0;
    virtual void release(std::byte* memory, Bytes size) noexcept = 0;
};

/// Owns one allocation of a memory space. Move-only; the space must outlive it.
class Region {
  public:
    Region() = default;
    Region(MemorySpace& space, Bytes size) : space_(&space), data_(space.allocate(size)), size_(size) {}
    Region(Region&& other) noexcept { swap(other); }
    Region& operator=(Region&& other) noexcept {
        swap(other);
        return *this;
    }
    Region(const Region&) = delete;
    Region& operator=(const Region&) = delete;
    ~Region() {
        if (space_ != nullptr) space_->release(data_, size_);
    }

    [[nodiscard]] std::byte* data() const { return data_; }
    [[nodiscard]] Bytes size() const { return size_; }
    [[nodiscard]] std::span<std::byte> bytes() const {
        return {data_, static_cast<std::size_t>(size_.value)};
    }

  private:
    void swap(Region& other) noexcept {
        std::swap(space_, other.space_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    MemorySpace* space_ = nullptr;
    std::byte* data_ = nullptr;
    Bytes size_{};
};

}  // namespace trireme
