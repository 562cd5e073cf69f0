// The fixed tree over the leaves of a step: what makes sums independent of who computes them.
//
// A node is a range of leaves. It is split at the largest power of two below its size, so the tree depends on
// the number of leaves alone. Sums are formed along it and nowhere else: left operand first, leaves without
// samples left out.
//
//      7 leaves            [0,7)
//                        /       \            a rank that owns [2,6) holds, after its backward passes, the
//                        sums of
//                   [0,4)         [4,7)       the largest nodes inside its range: [2,4) and [4,6)
//                   /   \         /   \ .
//               [0,2)  [2,4)  [4,6)  [6,7)
//                / \    / \    / \     |
//               0   1  2   3  4   5    6
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/core/virtual_shards.hpp"

namespace trireme {

/// present[v]: leaf v has samples in this step.
using LeafMask = std::vector<bool>;

/// Where a node of at least two leaves is split.
[[nodiscard]] std::int64_t split_of(IndexRange node);
[[nodiscard]] bool has_present(const LeafMask& present, IndexRange node);
/// The largest nodes of the tree over `present.size()` leaves that lie inside `owned` and have samples, left
/// to right.
[[nodiscard]] std::vector<IndexRange> held_nodes(const LeafMask& present, IndexRange owned);

/// How a rank forms the sums of its held nodes in a stack of slots: compute a leaf into `slot`, or add slot
/// `from` to `slot`.
struct LeafAction {
    enum class Kind { compute, combine };
    Kind kind;
    std::int64_t leaf = -1;  ///< compute
    int slot = 0;
    int from = 0;  ///< combine
    bool operator==(const LeafAction&) const = default;
};

struct LeafSchedule {
    std::vector<LeafAction>
        actions;    ///< leaves in rising order; combines as early as both operands are there
    int slots = 0;  ///< that are in use at once: about log2 of the leaves
};
/// Afterwards slot i holds the sum of node i of held_nodes.
[[nodiscard]] LeafSchedule leaf_schedule(const LeafMask& present, IndexRange owned);

}  // namespace trireme
