// Places buffers with known lives into one arena. A buffer's life is an interval of instruction indices;
// buffers whose lives overlap must not overlap in memory. The lower bound is the largest sum of sizes alive
// at one instruction; to meet it is the problem of dynamic storage allocation (NP-hard). Greedy, each buffer
// at the lowest offset that is free for its whole life, in three orders; then the buffer that ends highest is
// moved forward in the order, as long as that helps and time allows. Pure: the same on all ranks and runs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme {

struct BufferLife {
    std::string name;
    Bytes size{};
    int first = 0;  ///< index of the first instruction that touches it
    int last = 0;   ///< index of the last one, inclusive
};

struct MemoryPlan {
    std::vector<BufferLife> buffers;
    std::vector<Bytes> offsets;  ///< of each buffer, multiples of 64
    Bytes size{};                ///< of the arena
    Bytes lower_bound{};
};

/// The most that is alive at one instruction: no arena can be smaller.
[[nodiscard]] Bytes arena_lower_bound(const std::vector<BufferLife>& buffers);

[[nodiscard]] MemoryPlan plan_memory(std::vector<BufferLife> buffers);

}  // namespace trireme
