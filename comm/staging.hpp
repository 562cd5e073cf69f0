// Memory in which received segments wait until they are summed or stored. A pool hands out blocks of equal
// slots; a block that is given back is used again, so that a running job allocates none. Blocks come from
// mmap and are resident only as far as messages filled them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/core/host_memory.hpp"

namespace trireme::comm {

class StagingPool {
  public:
    /// `slots` of `slot_bytes` in each block.
    StagingPool(std::int64_t slot_bytes, int slots) : slot_bytes_(slot_bytes), slots_(slots) {}

    [[nodiscard]] std::int64_t slot_bytes() const { return slot_bytes_; }
    [[nodiscard]] int slots() const { return slots_; }
    [[nodiscard]] std::byte* take_block() {
        if (free_.empty()) {
            blocks_.emplace_back(space_, Bytes(slot_bytes_ * slots_));
            free_.reserve(blocks_.size());
            return blocks_.back().data();
        }
        std::byte* block = free_.back();
        free_.pop_back();
        return block;
    }
    void give_back(std::byte* block) { free_.push_back(block); }
    /// Blocks ever allocated.
    [[nodiscard]] std::size_t allocated() const { return blocks_.size(); }

  private:
    std::int64_t slot_bytes_;
    int slots_;
    HostMemory space_;
    std::vector<Region> blocks_;
    std::vector<std::byte*> free_;
};

}  // namespace trireme::comm
