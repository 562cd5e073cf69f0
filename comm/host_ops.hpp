// Adds and copies in host memory, done when the call returns.
#pragma once

#include <cstring>

#include "comm/reduce.hpp"
#include "runtime/core/memory_ops.hpp"

namespace trireme::comm {

class HostOps : public MemoryOps {
  public:
    void add(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) override {
        add_into(into, from, count, dtype);
    }
    void copy(std::byte* to, const std::byte* from, std::int64_t bytes) override {
        if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
    }
    [[nodiscard]] Mark mark() override { return 0; }
    [[nodiscard]] bool passed(Mark) override { return true; }
    void drain() noexcept override {}
};

}  // namespace trireme::comm
