// What the rest of the runtime sees of communication. One Communicator a rank; behind it a progress thread
// owns the transport (and MPI with it: it calls MPI_Init_thread itself) and plays collectives as step lists,
// while the compute thread goes on and waits on tickets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "comm/lane.hpp"
#include "comm/step_list.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/memory_space.hpp"
#include "runtime/core/trace_sink.hpp"

namespace trireme::comm {

enum class Algorithm { automatic, ring, halving_doubling };
[[nodiscard]] std::string_view name_of(Algorithm a);

struct CommOptions {
    std::int64_t segment_bytes = 256 * 1024;  ///< largest message of a collective
    double abort_grace = 0.3;                 ///< seconds in which ranks that fail together agree who speaks
    double verdict_window = 1.5;              ///< seconds in which ranks answer what they wait for
    bool inline_progress = false;             ///< no progress thread: waits of the caller move things on
};

/// Who is at fault when a job ends badly: what `verdict.json` holds.
struct Verdict {
    ErrorClass error_class = ErrorClass::internal;
    std::string kind;  ///< MISSING, MISMATCH, SLOW, DEAD, or ERROR for an exception of a rank
    int rank = -1;     ///< the culprit
    std::string host;
    std::string phase;
    std::string instruction;
    std::string reason;
    [[nodiscard]] std::string str() const;  ///< "rank 3 (host n2): DataError: ..."
};

/// Thrown by every wait once the job has failed: because a peer announced an error, or because a deadline
/// passed and the ranks agreed on a verdict. `speaker` is true on the one rank that prints it and writes
/// verdict.json.
class JobFailed : public Error {
  public:
    JobFailed(Verdict verdict, bool speaker);
    [[nodiscard]] const Verdict& verdict() const { return verdict_; }
    [[nodiscard]] bool speaker() const { return speaker_; }

  private:
    Verdict verdict_;
    bool speaker_;
};

/// A collective under way. Copyable; cheap.
class Ticket {
  public:
    struct State;
    Ticket() = default;
    explicit Ticket(std::shared_ptr<State> state) : state_(std::move(state)) {}
    [[nodiscard]] bool valid() const { return state_ != nullptr; }
    [[nodiscard]] bool done() const;
    [[nodiscard]] const std::shared_ptr<State>& state() const { return state_; }

  private:
    std::shared_ptr<State> state_;
};

/// Whether the operand of a collective is there.
using Ready = std::function<bool()>;

class BucketMemory;
class ProgressEngine;
class Transport;

class Communicator {
  public:
    explicit Communicator(std::unique_ptr<ProgressEngine> engine);
    ~Communicator();
    Communicator(const Communicator&) = delete;
    Communicator& operator=(const Communicator&) = delete;

    [[nodiscard]] int rank() const;
    [[nodiscard]] int size() const;
    [[nodiscard]] const std::string& host() const;

    /// Memory for gradients, allocated by comm so that it can be shared, pinned or registered. Zeroed. The
    /// communicator must outlive it. Releasing it gives up the collectives that are under way in it, so that
    /// an exception may unwind past it.
    [[nodiscard]] Region allocate_buckets(Bytes size);

    /// Starts an in-place sum over all ranks. All ranks call their collectives in the same order. `data` must
    /// stay until the ticket is done. `label` names it in traces and verdicts. `ready`, where given, is asked
    /// by the progress thread until it says that `data` is there (a copy from a device has arrived); it must
    /// not wait.
    [[nodiscard]] Ticket all_reduce(std::span<float> data, Algorithm algorithm, std::string_view label,
                                    Ready ready = {}, OnLane place = {});
    /// This rank's list of such a sum over `count` elements, with segments of `segment_elements()`. A sum
    /// whose place has a staged buffer is played by the buffer's list, which must be this one.
    [[nodiscard]] std::shared_ptr<const StepList> all_reduce_steps(std::int64_t count,
                                                                   Algorithm algorithm) const;
    /// Starts the sum along the fixed tree (canonical.hpp): `steps` is this rank's list, made with segments
    /// of `segment_elements()`, or of the lane's, `data` the buffer that its offsets count from, `count` the
    /// elements of the sum.
    [[nodiscard]] Ticket canonical_all_reduce(std::shared_ptr<const StepList> steps, std::span<float> data,
                                              std::int64_t count, std::string_view label, Ready ready = {},
                                              OnLane place = {});
    /// A way to play sums in memory of a device; what it names must stay until it is closed. Its number.
    /// Throws what the memory's own operations throw.
    [[nodiscard]] int open_lane(LaneSetup setup);
    /// Gives up what is under way in it; afterwards its memory is not touched by this rank.
    void close_lane(int lane) noexcept;
    /// True where the message library takes memory of a device as it takes the host's.
    [[nodiscard]] bool carries_device_memory() const;
    /// Elements (fp32) of the largest message.
    [[nodiscard]] std::int64_t segment_elements() const;
    /// Waits. Throws JobFailed (PeerLost, CommTimeout, or what a peer announced).
    void wait(const Ticket& ticket, const Deadline& deadline);

    /// Tells all ranks that this one is here, where `ready` is given once it says so; the ticket is done once
    /// every rank has told it. Does not wait, and does not stand behind the sums that are under way.
    [[nodiscard]] Ticket arrive(std::string_view label, Ready ready = {});
    void barrier(std::string_view label, const Deadline& deadline);
    void broadcast(std::span<std::byte> data, int root, std::string_view label, const Deadline& deadline);
    /// Every rank's text, in rank order.
    [[nodiscard]] std::vector<std::string> all_gather(std::string_view mine, std::string_view label,
                                                      const Deadline& deadline);

    /// What this rank is doing, for verdicts. The text is copied (its first 160 bytes); cheap enough to call
    /// for each instruction.
    void set_state(Phase phase, std::string_view instruction);
    void set_trace(TraceSink* sink);

    /// Announces this rank's error to all and settles who speaks: true when this rank is to print and to
    /// write verdict.json. The caller then calls `abort`.
    [[nodiscard]] bool announce_failure(const Verdict& verdict);
    /// Ends the whole job with this exit code; the ranks that do not speak wait for it. Over threads as ranks
    /// it marks the world as ended and returns.
    void abort(int exit_code, bool speaker);
    /// Orderly end, called by all ranks: drains and finalises.
    void finish(const Deadline& deadline);
    /// With `inline_progress`: moves collectives on from this thread, between slices of its own work.
    /// Without, it does nothing.
    void poll();
    /// What this rank does and what its open collectives wait for, as text for people.
    [[nodiscard]] std::string dump_state();

  private:
    std::unique_ptr<ProgressEngine> engine_;
    std::unique_ptr<BucketMemory> buckets_;
    std::string host_;
};

/// Joins the MPI job (or a world of one when not launched by mpirun).
[[nodiscard]] std::unique_ptr<Communicator> join_mpi(const CommOptions& options, const Deadline& deadline);
/// Threads as ranks: `ranks` communicators of one process, each to be used by one thread.
[[nodiscard]] std::vector<std::unique_ptr<Communicator>> in_process_world(int ranks,
                                                                          const CommOptions& options);
/// The same over transports that the caller made (tests wrap them in faults and recorders).
[[nodiscard]] std::vector<std::unique_ptr<Communicator>> world_over(
    std::vector<std::unique_ptr<Transport>> transports, const CommOptions& options);
/// The rank that the launcher gave this process, read from the environment before MPI is up; 0 without a
/// launcher.
[[nodiscard]] int launcher_rank();
[[nodiscard]] int launcher_size();
/// The same among the processes of this host.
[[nodiscard]] int launcher_local_rank();
[[nodiscard]] int launcher_local_size();
/// "Open MPI v4.1.4, ..." without initialising MPI.
[[nodiscard]] std::string mpi_library_version();

}  // namespace trireme::comm
