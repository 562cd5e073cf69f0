// The collectives of one rank that are called and not done yet. Lives on the progress thread. They are
// numbered in the order of the calls; the oldest few are played at once, the others wait their turn. As all
// ranks call in the same order, the oldest one is always being played by every rank that called it, so the
// limit can delay but never deadlock. Barriers move no data and are played at once, whatever is under way:
// they tell when the last rank came, not when the sums before them are done.
//
// Each is played on a lane (lane.hpp); lane 0 is host memory.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "comm/collective.hpp"
#include "comm/collective_task.hpp"
#include "comm/host_ops.hpp"
#include "comm/stall.hpp"

namespace trireme::comm {

/// Collectives that are played at once, barriers not counted.
inline constexpr std::size_t played_at_once = 4;

class CollectiveTable {
  public:
    using Time = std::chrono::steady_clock::time_point;
    struct Finished {
        Ticket::State& ticket;
        const Fingerprint& fingerprint;
        Time began;  ///< when its first message could go
    };
    using OnFinished = std::function<void(const Finished&)>;

    CollectiveTable(Transport& transport, Group group, const CommOptions& options, OnFinished on_finished);

    void admit(std::shared_ptr<Ticket::State> ticket);
    /// Moves all collectives on as far as they go without waiting; true when anything moved.
    bool advance();
    [[nodiscard]] bool idle() const { return open_.empty(); }

    [[nodiscard]] int open_lane(LaneSetup setup);
    /// Gives up its collectives and marks their tickets as cancelled.
    void close_lane(int lane);

    /// Gives up all of them; no buffer is touched any more.
    void cancel_all();
    /// Gives up those whose buffer begins in [begin, end) and marks their tickets as cancelled.
    void cancel_in(const std::byte* begin, const std::byte* end);

    [[nodiscard]] bool is_open(std::uint64_t sequence) const;
    /// The oldest open collective; there is one.
    [[nodiscard]] std::uint64_t oldest() const { return open_.front().fingerprint.sequence; }
    /// Adds what this table knows to an answer about collective `sequence`.
    void fill(RankReport& report, std::uint64_t sequence) const;
    /// One line a collective: label, fingerprint, steps done, peers it waits for.
    [[nodiscard]] std::string str() const;

  private:
    struct Open {
        std::shared_ptr<Ticket::State> ticket;
        Fingerprint fingerprint;
        std::unique_ptr<CollectiveTask> task;  ///< empty while it waits for its turn or its operand
        Time began;
    };
    struct Lane {
        Lane(std::shared_ptr<MemoryOps> o, std::unique_ptr<Messages> own, Messages& m, std::int64_t segment,
             std::span<std::byte> memory)
            : ops(std::move(o)),
              own_messages(std::move(own)),
              messages(m),
              staging(segment, slots_per_task, memory),
              segment_bytes(segment) {}
        std::shared_ptr<MemoryOps> ops;
        std::unique_ptr<Messages> own_messages;  ///< empty: the transport's
        Messages& messages;
        StagingPool staging;
        std::int64_t segment_bytes;
        std::vector<std::unique_ptr<CollectiveTask>> spare_tasks;
    };
    using ListKey = std::tuple<Op, Algorithm, std::int64_t, std::int64_t, int, int>;

    [[nodiscard]] static int lane_number(const Open& open) { return open.ticket->what.place.lane; }
    [[nodiscard]] Lane& lane_of(const Open& open) {
        return *lanes_.at(static_cast<std::size_t>(lane_number(open)));
    }
    void begin(Open& open);
    void drop(Open& open);
    template <class Chosen>
    void cancel_where(Chosen chosen);
    void finish(std::size_t position);
    [[nodiscard]] std::shared_ptr<const StepList> steps_of(const Open& open);
    [[nodiscard]] StepList make_steps(const Open& open, std::int64_t segment_bytes) const;
    [[nodiscard]] std::string describe(const Open& open) const;

    Transport& transport_;
    const Group group_;
    OnFinished on_finished_;
    std::vector<std::unique_ptr<Lane>> lanes_;  ///< by number; empty where one was closed
    std::deque<Open> open_;
    std::map<ListKey, std::shared_ptr<const StepList>> lists_;
    std::array<Fingerprint, 256> recent_;  ///< by sequence, so that late questions can be answered
    std::uint64_t called_ = 0;
    std::uint64_t moves_ = 0;
};

}  // namespace trireme::comm
