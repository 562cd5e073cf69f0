// The ranks that take part in a collective, in the order in which its step list numbers them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <utility>
#include <vector>

#include "runtime/core/error.hpp"

namespace trireme::comm {

class Group {
  public:
    /// `id` tells groups apart in tags: it is the same on all members, and no other group that shares two of
    /// them has it. `ranks` are distinct ranks of the world; `me` is one of them.
    Group(int id, std::vector<int> ranks, int me) : id_(id), ranks_(std::move(ranks)) {
        ensure(id >= 0, "a group id is not negative");
        const auto found = std::find(ranks_.begin(), ranks_.end(), me);
        ensure(found != ranks_.end(), "a rank builds only groups that it is in");
        ensure(std::count(ranks_.begin(), ranks_.end(), me) == 1, "a group names a rank once");
        index_ = static_cast<int>(found - ranks_.begin());
    }

    /// All ranks 0 to `size` - 1, as group 0.
    static Group world(int size, int me) {
        std::vector<int> ranks(static_cast<std::size_t>(size));
        std::iota(ranks.begin(), ranks.end(), 0);
        return {0, std::move(ranks), me};
    }

    [[nodiscard]] int id() const { return id_; }
    [[nodiscard]] int size() const { return static_cast<int>(ranks_.size()); }
    /// My index in the group.
    [[nodiscard]] int index() const { return index_; }
    /// The world rank of member `index`.
    [[nodiscard]] int world_rank(int index) const { return ranks_.at(static_cast<std::size_t>(index)); }

  private:
    int id_;
    std::vector<int> ranks_;
    int index_ = 0;
};

}  // namespace trireme::comm
