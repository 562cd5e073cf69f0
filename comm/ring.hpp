// Ring algorithms: each rank sends to its right neighbour and receives from its left one only. Bandwidth
// optimal (Patarasuk and Yuan: "Bandwidth optimal all-reduce algorithms for clusters of workstations", JPDC
// 2009); its latency grows with the number of ranks.
//
//   4 ranks, chunks a b c d, one sum travels around for each (rank r begins with chunk r):
//
//        rank 0 --a--> rank 1 --a+a--> rank 2 --a+a+a--> rank 3 = sum of a --> rank 0 --> rank 1 --> rank 2
//        rank 1 --b--> rank 2 --b+b--> rank 3 --b+b+b--> rank 0 = sum of b --> rank 1 --> ...
//        (c and d likewise, all at once)
//
//   stage        0        1 ... n-2           n-1                     n ... 2n-3       2n-2
//   chunk r-k    send     recv_reduce_send    recv_reduce_copy_send   recv_copy_send   recv
//
// Each chunk is cut in segments; `stream_depth` segments of each chunk go around together, the next ones
// follow before the last of them have arrived, so that a rank sums one segment while others are under way.
//
// All-reduce, n ranks, N elements, |c| the size of chunk c (N/n, up to one element):
//   stages 2 (n - 1); rank r sends 2 N - |c(r+1)| - |c(r+2)| and receives 2 N - |c(r)| - |c(r+1)| elements,
//   which is 2 N (n - 1) / n where n divides N. A message has at most `segment` elements.
// All-gather of pieces p: stages n - 1; rank r sends all but piece r+1, receives all but piece r.
#pragma once

#include <cstdint>
#include <span>

#include "comm/step_list.hpp"

namespace trireme::comm {

/// In-place sum of `count` elements over `ranks` ranks, for member `index`.
[[nodiscard]] StepList ring_all_reduce(int ranks, int index, std::int64_t count, std::int64_t segment);

/// Member i owns the piece of pieces[i] elements that follows those of the members before it; afterwards all
/// have all pieces. Pieces may have any sizes, 0 included.
[[nodiscard]] StepList ring_all_gather(int index, std::span<const std::int64_t> pieces, std::int64_t segment);

}  // namespace trireme::comm
