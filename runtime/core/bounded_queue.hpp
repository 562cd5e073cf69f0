// A bounded blocking queue between threads. Closing it wakes everybody: pushes are then refused, pops drain
// what is left. An error put in with `fail` is thrown to the consumer in place of the next item.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "runtime/core/deadline.hpp"

namespace trireme {

template <class T>
class BoundedQueue {
  public:
    explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

    /// Waits for room. False when the queue was closed: the item is dropped.
    bool push(T item) {
        std::unique_lock lock(mutex_);
        room_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
        if (closed_) return false;
        items_.push_back(std::move(item));
        filled_.notify_one();
        return true;
    }

    /// Waits for an item until the deadline. Empty when the deadline passed (`expired()` tells) or the queue
    /// was closed and drained. Throws what was given to `fail`.
    std::optional<T> pop(const Deadline& deadline) {
        std::unique_lock lock(mutex_);
        filled_.wait_until(lock, deadline.time(), [&] { return closed_ || !items_.empty() || error_; });
        if (!items_.empty()) {
            T item = std::move(items_.front());
            items_.pop_front();
            room_.notify_one();
            return item;
        }
        if (error_) std::rethrow_exception(error_);
        return std::nullopt;
    }

    void fail(std::exception_ptr error) {
        std::lock_guard lock(mutex_);
        error_ = std::move(error);
        filled_.notify_all();
    }

    void close() {
        std::lock_guard lock(mutex_);
        closed_ = true;
        filled_.notify_all();
        room_.notify_all();
    }

  private:
    const std::size_t capacity_;
    std::mutex mutex_;
    std::condition_variable room_;
    std::condition_variable filled_;
    std::deque<T> items_;
    std::exception_ptr error_;
    bool closed_ = false;
};

}  // namespace trireme
