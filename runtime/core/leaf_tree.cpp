#include "runtime/core/leaf_tree.hpp"

#include <algorithm>
#include <bit>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

IndexRange root_of(const LeafMask& present) { return {0, static_cast<std::int64_t>(present.size())}; }

bool inside(IndexRange node, IndexRange owned) { return owned.begin <= node.begin && node.end <= owned.end; }
bool apart(IndexRange node, IndexRange owned) { return node.end <= owned.begin || owned.end <= node.begin; }

void collect_held(const LeafMask& present, IndexRange node, IndexRange owned, std::vector<IndexRange>& held) {
    if (apart(node, owned) || !has_present(present, node)) return;
    if (inside(node, owned)) {
        held.push_back(node);
        return;
    }
    collect_held(present, {node.begin, split_of(node)}, owned, held);
    collect_held(present, {split_of(node), node.end}, owned, held);
}

class Scheduler {
  public:
    Scheduler(const LeafMask& present, LeafSchedule& schedule) : present_(present), schedule_(schedule) {}

    /// Leaves the sum of a node, which has samples, on top of the stack.
    void sum(IndexRange node) {
        if (node.size() == 1) {
            schedule_.actions.push_back({LeafAction::Kind::compute, node.begin, depth_, 0});
            schedule_.slots = std::max(schedule_.slots, ++depth_);
            return;
        }
        const IndexRange left{node.begin, split_of(node)};
        const IndexRange right{split_of(node), node.end};
        const bool both = has_present(present_, left) && has_present(present_, right);
        if (has_present(present_, left)) sum(left);
        if (has_present(present_, right)) sum(right);
        if (both) {
            --depth_;
            schedule_.actions.push_back({LeafAction::Kind::combine, -1, depth_ - 1, depth_});
        }
    }

  private:
    const LeafMask& present_;
    LeafSchedule& schedule_;
    int depth_ = 0;
};

}  // namespace

std::int64_t split_of(IndexRange node) {
    ensure(node.size() >= 2, "a single leaf is not split");
    return node.begin + static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(node.size())) / 2);
}

bool has_present(const LeafMask& present, IndexRange node) {
    return std::any_of(present.begin() + node.begin, present.begin() + node.end, [](bool p) { return p; });
}

std::vector<IndexRange> held_nodes(const LeafMask& present, IndexRange owned) {
    std::vector<IndexRange> held;
    collect_held(present, root_of(present), owned, held);
    return held;
}

LeafSchedule leaf_schedule(const LeafMask& present, IndexRange owned) {
    LeafSchedule schedule;
    Scheduler scheduler(present, schedule);
    for (IndexRange node : held_nodes(present, owned)) scheduler.sum(node);
    return schedule;
}

}  // namespace trireme
