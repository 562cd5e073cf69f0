// The canonical all-reduce: the sum along the fixed tree over leaves (runtime/core/leaf_tree.hpp), the same
// bits for any number of ranks, powers of two or not, and nobody a bottleneck.
//
// Each rank comes with the sums of the nodes it holds, in slots of its buffer. The range is cut in one piece
// a rank. Rank r gets every other rank's sums of piece r, evaluates the rest of the tree there, and sends the
// piece's sum to all:
//
//      3 ranks, 8 leaves       rank 0: [0,2)      rank 1: [2,4) [4,5)     rank 2: [5,6) [6,8)
//
//      piece 0 at rank 0       (  [0,2)   +  [2,4)  )  +  ( ( [4,5) + [5,6) ) + [6,8) )
//                                 own       from 1           from 1    from 2   from 2
//
// (inner nodes pair up as the tree says: [4,8) is [4,6) + [6,8), and [4,6) is [4,5) + [5,6).)
//
// A rank that holds k nodes sends k N (n-1)/n elements for the tree and N (n-1)/n for the result; it receives
// the others' nodes of its piece and the others' pieces.
#pragma once

#include <cstdint>
#include <vector>

#include "comm/step_list.hpp"
#include "runtime/core/leaf_tree.hpp"

namespace trireme::comm {

/// Where the operands lie in each rank's buffer: slot i of the range at `range.begin + i * stride`. The
/// result goes to slot 0.
struct CanonicalLayout {
    LeafMask present;               ///< of all leaves
    std::vector<IndexRange> owned;  ///< leaves of each rank
    IndexRange range;               ///< elements inside a slot
    std::int64_t stride = 0;        ///< elements from slot to slot
    std::int64_t scratch = 0;       ///< first element of this range's scratch
};

/// Scratch elements that rank `index` needs for a layout.
[[nodiscard]] std::int64_t canonical_scratch(const CanonicalLayout& layout, int index);

[[nodiscard]] StepList canonical_all_reduce(const CanonicalLayout& layout, int index, std::int64_t segment);

}  // namespace trireme::comm
