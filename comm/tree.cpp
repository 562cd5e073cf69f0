#include "comm/tree.hpp"

#include <bit>
#include <vector>

#include "runtime/core/error.hpp"

namespace trireme::comm {

StepList binomial_broadcast(int ranks, int index, int root, std::int64_t count, std::int64_t segment) {
    ensure(index >= 0 && index < ranks && root >= 0 && root < ranks, "broadcast: root and member exist");
    const int from_root = (index + ranks - root) % ranks;
    const int own_bit = static_cast<int>(std::bit_floor(static_cast<unsigned>(from_root)));
    const int parent = (from_root - own_bit + root) % ranks;
    // The child with the largest tree below it comes first.
    std::vector<int> children;
    int bit = 1;
    while (from_root + bit < ranks) bit *= 2;
    for (; bit > own_bit; bit /= 2) {
        if (from_root + bit < ranks) children.push_back((from_root + bit + root) % ranks);
    }
    StepList steps;
    for (const IndexRange& part : cut({0, count}, segment)) {
        std::size_t next = 0;
        if (from_root != 0 && children.empty()) {
            steps.push_back({Verb::recv, part.begin, part.size(), parent, -1});
        } else if (from_root != 0) {
            steps.push_back({Verb::recv_copy_send, part.begin, part.size(), parent, children[next++]});
        }
        for (; next < children.size(); ++next) {
            steps.push_back({Verb::send, part.begin, part.size(), -1, children[next]});
        }
    }
    return steps;
}

StepList dissemination_barrier(int ranks, int index) {
    ensure(index >= 0 && index < ranks, "barrier: member 0 <= index < ranks");
    StepList steps;
    for (int hop = 1; hop < ranks; hop *= 2) {
        steps.push_back({Verb::send, 0, 0, -1, (index + hop) % ranks});
        steps.push_back({Verb::recv, 0, 0, (index + ranks - hop) % ranks, -1});
    }
    return steps;
}

}  // namespace trireme::comm
