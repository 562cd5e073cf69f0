// Many threads put commands in without a lock, one takes them out in order: an atomic list that is taken as a
// whole and reversed (Treiber: "Systems programming: coping with parallelism", 1986, with one consumer).
#pragma once

#include <atomic>
#include <functional>
#include <memory>

#include "comm/collective.hpp"

namespace trireme::comm {

/// A collective to begin, or something to do on the progress thread.
struct Command {
    std::shared_ptr<Ticket::State> collective;
    std::function<void()> action;
    Command* next = nullptr;
};

class CommandQueue {
  public:
    CommandQueue() = default;
    CommandQueue(const CommandQueue&) = delete;
    CommandQueue& operator=(const CommandQueue&) = delete;
    ~CommandQueue() {
        drain([](const Command&) {});
    }

    void push(std::unique_ptr<Command> command) {
        Command* node = command.release();
        node->next = head_.load(std::memory_order_relaxed);
        while (!head_.compare_exchange_weak(node->next, node, std::memory_order_seq_cst,
                                            std::memory_order_relaxed)) {
        }
    }

    [[nodiscard]] bool empty() const { return head_.load(std::memory_order_seq_cst) == nullptr; }

    /// Takes all commands in the order in which they were put in; true when there were any.
    template <class Take>
    bool drain(Take take) {
        Command* newest_first = head_.exchange(nullptr, std::memory_order_acquire);
        Command* oldest_first = nullptr;
        while (newest_first != nullptr) {
            Command* next = newest_first->next;
            newest_first->next = oldest_first;
            oldest_first = newest_first;
            newest_first = next;
        }
        const bool any = oldest_first != nullptr;
        while (oldest_first != nullptr) {
            const std::unique_ptr<Command> command(oldest_first);
            oldest_first = command->next;
            take(*command);
        }
        return any;
    }

  private:
    std::atomic<Command*> head_{nullptr};
};

}  // namespace trireme::comm
