// A collective as a rank asks for it, and its fingerprint: what all ranks must agree on. Ranks number the
// collectives of a group in the order in which they call them.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "comm/step_list.hpp"
#include "runtime/core/dtype.hpp"

namespace trireme::comm {

enum class Op : std::uint8_t { all_reduce, broadcast, all_gather, barrier, canonical_all_reduce };
[[nodiscard]] std::string_view name_of(Op op);

struct Fingerprint {
    int group = 0;
    std::uint64_t sequence = 0;
    Op op = Op::barrier;
    std::int64_t count = 0;  ///< elements; of an all-gather the sum over all ranks
    DType dtype = DType::u8;
    Algorithm algorithm = Algorithm::automatic;  ///< the chosen one; automatic where there is only one
    int root = 0;

    [[nodiscard]] std::uint64_t hash() const;
    /// "all_reduce #17 of 431080 f32 by ring"
    [[nodiscard]] std::string str() const;
    bool operator==(const Fingerprint&) const = default;
};

struct Collective {
    Op op = Op::barrier;
    Algorithm algorithm = Algorithm::automatic;
    DType dtype = DType::u8;
    std::int64_t count = 0;
    int root = 0;
    std::byte* data = nullptr;
    std::vector<std::int64_t> pieces;       ///< all_gather: elements of each member
    std::shared_ptr<const StepList> steps;  ///< canonical_all_reduce: my list, made by the caller
    std::string label;
    Ready ready;                       ///< empty: the operand is there
    OnLane place;                      ///< `data` is the lane's memory
    std::shared_ptr<void> keep_alive;  ///< owns `data` where the caller may leave before the collective ends
};

enum class TicketStatus { under_way, done, cancelled };

struct Ticket::State {
    explicit State(Collective c) : what(std::move(c)) {}
    Collective what;
    std::uint64_t sequence = 0;  ///< set and read by the progress thread
    std::atomic<TicketStatus> status{TicketStatus::under_way};
};

}  // namespace trireme::comm
