// Plays the step lists of all ranks of a collective without threads or transport, under the least helpful
// rules that a transport is allowed: a send completes only when its receive is reached (rendezvous), nothing
// is received ahead, and a sum that is passed on without being stored occupies one of few slots until it is
// gone. A set of lists that runs through here cannot deadlock on a transport that is kinder.
//
// What it finds, as text that names rank, step and verb: deadlocks, messages nobody receives, sizes that do
// not match, ranges outside the buffer, peers that do not exist.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/step_list.hpp"

namespace trireme::comm {

struct SimulatedMessage {
    int from = 0;
    int to = 0;
    std::int64_t count = 0;
};

struct SimulationResult {
    std::string problem;                     ///< empty when all lists ran through
    std::vector<SimulatedMessage> messages;  ///< in the order of completion
    [[nodiscard]] bool ok() const { return problem.empty(); }
};

/// `data[r]` is rank r's buffer; it ends as the collective leaves it.
[[nodiscard]] SimulationResult simulate(std::span<const StepList> lists, std::span<std::vector<float>> data);

}  // namespace trireme::comm
