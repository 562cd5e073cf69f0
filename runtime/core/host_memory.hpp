// Host memory by mmap: page-aligned, zeroed, given back to the system at once when released, so that the
// planned figure and the process's resident size can be compared.
#pragma once

#include "runtime/core/memory_space.hpp"

namespace trireme {

class HostMemory final : public MemorySpace {
  public:
    [[nodiscard]] MemoryKind kind() const override { return MemoryKind::host; }
    [[nodiscard]] std::string_view name() const override { return "host"; }
    [[nodiscard]] std::byte* allocate(Bytes size) override;
    void release(std::byte* memory, Bytes size) noexcept override;
};

}  // namespace trireme
