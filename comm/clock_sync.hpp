// Clocks of ranks, laid on top of each other. Hosts start their clocks at different moments, so times of two
// ranks say nothing about each other until the difference is known. It is measured as Cristian does it
// ("Probabilistic clock synchronization", 1989): rank 0 is asked for its time, and the answer lies somewhere
// between question and answer on the asker's clock; the quickest of several rounds tells best.
//
// All ranks ask at once: a barrier is the question of everybody, a broadcast is the answer to everybody.
//
//     rank r    asked |---- barrier ----|                        | broadcast ----| answered
//     rank 0          |---- barrier ----| reads its clock: told  | broadcast ----|
//
// Rank 0 reads its clock after the barrier, so after every question, and no answer comes before it is sent.
// So asked <= told <= answered holds at every rank, whatever messages take, and the error of the middle is at
// most half of the time between. A round costs two collectives at any number of ranks.
#pragma once

#include <chrono>
#include <functional>
#include <span>

#include "comm/communicator.hpp"

namespace trireme::comm {

/// One round, as one rank saw it.
struct ClockRound {
    std::chrono::nanoseconds asked{};     ///< my clock
    std::chrono::nanoseconds told{};      ///< rank 0's clock
    std::chrono::nanoseconds answered{};  ///< my clock
};

struct ClockOffset {
    std::chrono::nanoseconds offset{};  ///< my clock plus this is rank 0's
    std::chrono::nanoseconds error{};   ///< the true offset is at most this far away
};

/// Reads a clock, since an epoch of its own; rank 0's are what the others are measured against.
using ReadClock = std::function<std::chrono::nanoseconds()>;
[[nodiscard]] std::chrono::nanoseconds read_steady_clock();

/// The offset that the quickest round tells. There is at least one.
[[nodiscard]] ClockOffset offset_of(std::span<const ClockRound> rounds);

/// My clock against rank 0's. All ranks call it. It holds for some minutes: clocks drift by some microseconds
/// a second. Throws what waits throw.
[[nodiscard]] ClockOffset align_clock(Communicator& comm, const Deadline& deadline,
                                      const ReadClock& read = read_steady_clock);

}  // namespace trireme::comm
