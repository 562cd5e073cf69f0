// The progress engine of a rank. Either a thread of its own owns the transport and everything that moves
// (the normal case: Open MPI makes no progress by itself, so overlap of communication and compute exists only
// if somebody polls), or the caller's own waits step the same machine (`inline_progress`: for simulators and
// debuggers that allow one thread).
//
//     compute thread  --- commands (lock-free) --->  progress thread: transport, step machines, failures
//                     <-- tickets (atomic + wait) --
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "comm/collective.hpp"
#include "comm/communicator.hpp"
#include "comm/engine_core.hpp"
#include "comm/transport.hpp"

namespace trireme::comm {

class ProgressEngine {
  public:
    /// Opens the transport (on the progress thread) and returns when it is open. Throws what it throws, and
    /// CommTimeout at the deadline.
    ProgressEngine(std::unique_ptr<Transport> transport, const CommOptions& options,
                   const Deadline& deadline);
    /// Without `finish` before, the other ranks learn that this one left.
    ~ProgressEngine();
    ProgressEngine(const ProgressEngine&) = delete;
    ProgressEngine& operator=(const ProgressEngine&) = delete;

    [[nodiscard]] int rank() const { return core_->rank(); }
    [[nodiscard]] const CommOptions& options() const { return options_; }
    [[nodiscard]] int size() const { return core_->size(); }
    void set_hosts(const std::vector<std::string>& hosts);
    [[nodiscard]] std::string host() const { return core_->host_of(rank()); }

    [[nodiscard]] Ticket submit(Collective collective);
    void wait(const Ticket& ticket, const Deadline& deadline);
    void set_state(Phase phase, std::string_view instruction) { core_->set_state(phase, instruction); }
    void set_trace(TraceSink* sink) { core_->set_trace(sink); }
    [[nodiscard]] bool announce_failure(const Verdict& verdict);
    void abort(int exit_code, bool speaker);
    /// Ends the transport in order, once all collectives are done.
    void close(const Deadline& deadline);
    /// See Communicator.
    [[nodiscard]] int open_lane(LaneSetup setup);
    void close_lane(int lane) noexcept;
    [[nodiscard]] bool carries_device_memory() const { return core_->carries_device_memory(); }
    /// Gives up collectives on buffers that begin in this memory, which is about to be released.
    void forget_memory(const std::byte* begin, const std::byte* end);
    /// What this rank is doing and what its open collectives wait for, as text.
    [[nodiscard]] std::string dump_state();
    /// Moves things on from the calling thread, where there is no progress thread.
    void poll();

  private:
    static void run(const std::shared_ptr<EngineCore>& core);
    bool wait_until(const std::function<bool()>& ready, const Deadline& deadline);
    /// Runs `action` on the progress side and waits for it; false when the progress side does not react.
    bool call(std::function<void()> action, double patience);
    [[noreturn]] void throw_failed() const;

    const CommOptions options_;
    std::shared_ptr<EngineCore> core_;
    std::thread thread_;
    bool stuck_ = false;  ///< the progress thread does not come back from the message library
};

}  // namespace trireme::comm
