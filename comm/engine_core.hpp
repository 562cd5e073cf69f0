// The progress machine of one rank: what the progress thread steps, and the little that it shares with the
// threads which wait for it. It outlives the engine that made it where its thread is stuck inside the message
// library and can only be left behind.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/collective_table.hpp"
#include "comm/command_queue.hpp"
#include "comm/failure.hpp"
#include "comm/transport.hpp"
#include "runtime/core/deadline.hpp"

namespace trireme::comm {

class EngineCore {
  public:
    EngineCore(std::unique_ptr<Transport> transport, const CommOptions& options);

    // The progress side: called by one thread, which owns the transport.

    /// Joins the world; what is thrown is kept for `open_error` too.
    void open();
    /// Takes commands, moves collectives, listens and answers; true when anything moved.
    bool step();
    /// A pause that fits what is under way, after `quiet` steps in which nothing moved: none for the first
    /// few, then about 50 us (compute threads share the cores), and milliseconds when nothing is under way.
    void rest(int quiet);
    [[nodiscard]] CollectiveTable& table() { return *table_; }
    [[nodiscard]] FailureProtocol& failure() { return *failure_; }
    [[nodiscard]] Transport& transport() { return *transport_; }
    /// Ends the world in order, once nothing is under way.
    void request_close() { close_requested_ = true; }
    [[nodiscard]] std::string dump() const;

    // Any thread.

    void push(std::unique_ptr<Command> command);
    void push_action(std::function<void()> action);
    /// Waits until `ready`, which reads atomics that the progress side writes; false when the deadline
    /// passed.
    bool await(const std::function<bool()>& ready, const Deadline& deadline);
    /// Wakes those who wait, after something they may wait for has changed.
    void notify();
    void request_stop();
    [[nodiscard]] bool stop_requested() const { return stop_.load(); }
    [[nodiscard]] bool opened() const { return opened_.load(); }
    [[nodiscard]] bool closed() const { return closed_.load(); }
    [[nodiscard]] bool failed() const { return failed_.load(); }
    /// Only when `failed`.
    [[nodiscard]] FailureProtocol::Outcome outcome() const;
    void rethrow_open_error() const;
    void set_state(Phase phase, std::string_view instruction);
    void set_hosts(std::vector<std::string> hosts);
    [[nodiscard]] std::string host_of(int rank) const;
    void set_trace(TraceSink* sink);
    /// A verdict about this rank in its present phase.
    [[nodiscard]] Verdict verdict_here(ErrorClass cls, std::string kind, std::string reason) const;
    [[nodiscard]] int rank() const { return rank_; }
    [[nodiscard]] int size() const { return size_; }
    [[nodiscard]] bool carries_device_memory() const { return carries_device_memory_; }

  private:
    void run_command(Command& command);
    bool move();
    void look_for_losses(FailureProtocol::Time now);
    void on_finished(const CollectiveTable::Finished& finished);
    void own_error(const std::exception& error, FailureProtocol::Time now);
    void publish(const FailureProtocol::Outcome& outcome);
    [[nodiscard]] RankReport self_report(std::uint64_t sequence) const;
    /// With `state_mutex_` held.
    [[nodiscard]] std::string instruction_text() const { return {instruction_.data(), instruction_size_}; }

    const CommOptions options_;
    std::unique_ptr<Transport> transport_;
    std::optional<CollectiveTable> table_;
    std::optional<FailureProtocol> failure_;
    bool close_requested_ = false;
    int rank_ = 0;
    int size_ = 1;
    bool carries_device_memory_ = false;

    CommandQueue commands_;
    std::atomic<bool> opened_{false};
    std::atomic<bool> closed_{false};
    std::atomic<bool> failed_{false};
    std::atomic<bool> stop_{false};
    std::atomic<int> waiters_{0};
    std::atomic<bool> asleep_{false};
    mutable std::mutex mutex_;  ///< guards what follows
    std::condition_variable changed_;
    std::condition_variable wake_;
    std::optional<FailureProtocol::Outcome> outcome_;
    std::exception_ptr open_error_;
    std::vector<std::string> hosts_;
    mutable std::mutex state_mutex_;  ///< guards what follows; taken once an instruction, so kept apart
    Phase phase_ = Phase::join;
    /// A copy: the program may be gone while others still ask. Longer texts are cut.
    std::array<char, 160> instruction_{};
    std::size_t instruction_size_ = 0;
    std::uint64_t state_changes_ = 0;
    TraceSink* sink_ = nullptr;
};

}  // namespace trireme::comm
