// Places buffers with known lives into one arena. A buffer's life is an interval of instruction indices;
// buffers whose lives overlap must not overlap in memory. Greedy by size (largest first, at the lowest offset
// that is free for the whole life), which stays close to the lower bound: the largest sum of sizes alive at
// one instruction.
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

[[nodiscard]] MemoryPlan plan_memory(std::vector<BufferLife> buffers);

}  // namespace trireme
