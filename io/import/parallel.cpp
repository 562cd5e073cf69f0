#include "io/import/parallel.hpp"

#include <thread>

namespace trireme::io {
namespace {

/// Indices are handed out in order, so those below a failing one have all been handed out already.
class Loop {
  public:
    Loop(IndexRange range, const std::function<void(std::int64_t)>& work)
        : work_(work), next_(range.begin), failed_at_(range.end) {}

    void run() {
        for (;;) {
            const std::int64_t index = next_.fetch_add(1);
            if (index >= failed_at_.load()) return;
            try {
                work_(index);
            } catch (...) {
                fail(index, std::current_exception());
            }
        }
    }

    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    void fail(std::int64_t index, std::exception_ptr error) {
        const std::lock_guard lock(mutex_);
        if (index >= failed_at_.load()) return;
        failed_at_.store(index);
        error_ = std::move(error);
    }

    const std::function<void(std::int64_t)>& work_;
    std::atomic<std::int64_t> next_;
    std::atomic<std::int64_t> failed_at_;  ///< no index from here on is begun
    std::mutex mutex_;
    std::exception_ptr error_;
};

}  // namespace

void for_each_index(IndexRange range, int threads, const std::function<void(std::int64_t)>& work) {
    if (range.empty()) return;
    Loop loop(range, work);
    std::vector<std::thread> helpers;
    for (std::int64_t t = 1; t < std::min<std::int64_t>(threads, range.size()); ++t)
        helpers.emplace_back([&loop] { loop.run(); });
    loop.run();
    for (std::thread& helper : helpers) helper.join();
    loop.rethrow();
}

}  // namespace trireme::io
