// Memory of a GPU, and page-locked memory of the host, which copies reach without the help of a processor.
#pragma once

#include <string>

#include "runtime/core/memory_space.hpp"

namespace trireme {

class CudaMemory final : public MemorySpace {
  public:
    /// `device`: CUDA's number of it; `name`: how messages call it.
    CudaMemory(int device, std::string name) : device_(device), name_(std::move(name)) {}

    [[nodiscard]] MemoryKind kind() const override { return MemoryKind::device; }
    [[nodiscard]] std::string_view name() const override { return name_; }
    /// Zeroed when it returns. Throws DeviceError with what is free, and with the plan's figure where
    /// `expect` gave it.
    [[nodiscard]] std::byte* allocate(Bytes size) override;
    void release(std::byte* memory, Bytes size) noexcept override;
    /// What the plan says that will be allocated here in all, for messages.
    void expect(Bytes planned) { planned_ = planned; }

  private:
    int device_ = 0;
    std::string name_;
    Bytes planned_{};
};

class PinnedMemory final : public MemorySpace {
  public:
    [[nodiscard]] MemoryKind kind() const override { return MemoryKind::pinned; }
    [[nodiscard]] std::string_view name() const override { return "pinned host memory"; }
    /// Every device of the process may copy from and to it.
    [[nodiscard]] std::byte* allocate(Bytes size) override;
    void release(std::byte* memory, Bytes size) noexcept override;
};

}  // namespace trireme
