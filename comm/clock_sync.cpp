#include "comm/clock_sync.hpp"

#include <algorithm>
#include <array>

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

constexpr int rounds_of_alignment = 24;

}  // namespace

std::chrono::nanoseconds read_steady_clock() { return std::chrono::steady_clock::now().time_since_epoch(); }

ClockOffset offset_of(std::span<const ClockRound> rounds) {
    ensure(!rounds.empty(), "an offset is told by one round at least");
    const auto length = [](const ClockRound& r) { return r.answered - r.asked; };
    const ClockRound& best = *std::ranges::min_element(rounds, {}, length);
    return {best.told - (best.asked + length(best) / 2), (length(best) + std::chrono::nanoseconds(1)) / 2};
}

ClockOffset align_clock(Communicator& comm, const Deadline& deadline, const ReadClock& read) {
    std::array<ClockRound, rounds_of_alignment> rounds;
    for (ClockRound& round : rounds) {
        round.asked = read();
        comm.barrier("clock question", deadline);
        std::int64_t told = read().count();
        comm.broadcast(std::as_writable_bytes(std::span(&told, 1)), 0, "clock answer", deadline);
        round.answered = read();
        round.told = std::chrono::nanoseconds(told);
    }
    if (comm.rank() == 0) return {};
    return offset_of(rounds);
}

}  // namespace trireme::comm
