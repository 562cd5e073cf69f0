// Operations that run behind the host, as a device's do, drawn by a seed.
#pragma once

#include <deque>
#include <functional>

#include "comm/host_ops.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::comm {

/// Host memory whose operations run late: some of them, drawn by a seed, each time a mark is asked.
class LateOps final : public MemoryOps {
  public:
    explicit LateOps(std::uint64_t seed) : dice_(seed, "late operations") {}
    void add(std::byte* into, const std::byte* from, std::int64_t count, DType dtype) override {
        queue_.emplace_back([=, this] { at_once_.add(into, from, count, dtype); });
    }
    void copy(std::byte* to, const std::byte* from, std::int64_t bytes) override {
        queue_.emplace_back([=, this] { at_once_.copy(to, from, bytes); });
    }
    [[nodiscard]] Mark mark() override { return run_ + static_cast<Mark>(queue_.size()); }
    [[nodiscard]] bool passed(Mark mark) override {
        for (std::uint64_t n = dice_.below(rolls_++, 3); n > 0 && !queue_.empty(); --n) run_one();
        return run_ >= mark;
    }
    void drain() noexcept override {
        while (!queue_.empty()) run_one();
    }
    [[nodiscard]] bool idle() const { return queue_.empty(); }

  private:
    void run_one() {
        queue_.front()();
        queue_.pop_front();
        ++run_;
    }
    HostOps at_once_;
    RandomStream dice_;
    std::uint64_t rolls_ = 0;
    std::deque<std::function<void()>> queue_;
    Mark run_ = 0;
};

}  // namespace trireme::comm
