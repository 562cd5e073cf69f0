// A transport with faults, for tests: it loses messages, delays them, or stops like a process that got
// SIGSTOP. All by a plan and a seed, so that a failing run can be repeated.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "comm/transport.hpp"

namespace trireme::comm {

struct FaultPlan {
    std::uint64_t seed = 1;
    std::int64_t drop_send = -1;  ///< index of the data message that is lost; -1: none
    int most_polls_late = 0;      ///< a completed receive is reported after up to this many further tests
    /// Once true the rank neither sends nor receives nor answers. May be set from another thread, and by
    /// `stop_at_send`.
    std::shared_ptr<std::atomic<bool>> stopped = std::make_shared<std::atomic<bool>>(false);
    std::int64_t stop_at_send = -1;  ///< index of the data message at which the rank stops; -1: never
};

[[nodiscard]] std::unique_ptr<Transport> faulty_transport(std::unique_ptr<Transport> inner, FaultPlan plan);

}  // namespace trireme::comm
