// All-reduce by recursive vector halving and distance doubling, then the way back (Rabenseifner's algorithm;
// Thakur, Rabenseifner, Gropp: "Optimization of collective communication operations in MPICH", IJHPCA 2005).
// Logarithmic latency, so it suits small messages.
//
//   4 ranks, the buffer in quarters 0 1 2 3; what each rank holds sums of:
//
//               begin       stage 0: bit 0       stage 1: bit 1           and back
//      rank 0   [0123] <--> [01..] (with 1)      [0...] (with 2)          [01..]  [0123]
//      rank 1   [0123] <--> [..23] (with 0)      [..2.] (with 3)          [..23]  [0123]
//      rank 2   [0123] <--> [01..] (with 3)      [.1..] (with 0)          [01..]  [0123]
//      rank 3   [0123] <--> [..23] (with 2)      [...3] (with 1)          [..23]  [0123]
//
// Stage k = 0, 1, ... pairs ranks that differ in bit k: the largest exchange is with the nearest rank. The
// one whose bit is 0 keeps the first half of its range and adds the partner's part of it; afterwards the
// stages run back and each pair exchanges the sums that it has.
//
// With p the largest power of two <= n and e = n - p extra ranks: of the first 2 e ranks each odd one sends
// its whole buffer to the even one before it, and gets the result at the end ("folding").
//
// Exchanges: 2 log2 p, and 2 more for a folded pair. A rank that takes part, with own final range of size w
// (N/p, up to one element a stage): it receives N - w while halving and N - w while doubling, and sends as
// much to within the ragged halves: 2 N (p - 1) / p where p divides N. A folded rank sends N and receives N,
// its partner N more each way. The exchange at stage k moves N / 2^(k+1) elements, up to one.
#pragma once

#include <cstdint>

#include "comm/step_list.hpp"

namespace trireme::comm {

/// In-place sum of `count` elements over `ranks` ranks, for member `index`.
[[nodiscard]] StepList halving_doubling_all_reduce(int ranks, int index, std::int64_t count,
                                                   std::int64_t segment);

}  // namespace trireme::comm
