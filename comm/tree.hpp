// Broadcast down a binomial tree, and a barrier by dissemination.
//
//   Broadcast, 8 ranks, numbered from the root; a rank gets the data in the round of its highest bit:
//
//        0 --> 1        0 --> 2   1 --> 3        0 --> 4   1 --> 5   2 --> 6   3 --> 7
//        round 0        round 1                  round 2
//
//   ceil(log2 n) rounds; every rank but the root receives N elements; a rank with c children sends c N.
//   Segments go down the tree one behind the other.
//
//   Barrier (Hensgen, Finkel, Manber: "Two algorithms for barrier synchronization", 1988): in round k rank r
//   tells rank r + 2^k and hears from rank r - 2^k; after ceil(log2 n) rounds everyone has heard of everyone.
//   n ceil(log2 n) empty messages.
#pragma once

#include <cstdint>

#include "comm/step_list.hpp"

namespace trireme::comm {

/// Gives all members the root's `count` elements.
[[nodiscard]] StepList binomial_broadcast(int ranks, int index, int root, std::int64_t count,
                                          std::int64_t segment);

/// No member ends before all have begun. The steps have 0 elements.
[[nodiscard]] StepList dissemination_barrier(int ranks, int index);

}  // namespace trireme::comm
