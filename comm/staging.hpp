// Memory in which received segments wait until they are summed or stored. A pool hands out blocks of equal
// slots; a block that is given back is used again, so that a running job allocates none. Blocks come from
// mmap and are resident only as far as messages filled them, or they are cut from memory that was given.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/error.hpp"
#include "runtime/core/host_memory.hpp"

namespace trireme::comm {

class StagingPool {
  public:
    /// `slots` of `slot_bytes` in each block. Where `memory` is given, which may be a device's and must
    /// outlive the pool, all blocks are cut from it.
    StagingPool(std::int64_t slot_bytes, int slots, std::span<std::byte> memory = {})
        : slot_bytes_(slot_bytes), slots_(slots), given_(!memory.empty()) {
        const auto block = static_cast<std::size_t>(slot_bytes * slots);
        for (std::size_t at = 0; at + block <= memory.size(); at += block)
            free_.push_back(memory.data() + at);
    }

    [[nodiscard]] std::int64_t slot_bytes() const { return slot_bytes_; }
    [[nodiscard]] int slots() const { return slots_; }
    [[nodiscard]] std::byte* take_block() {
        if (free_.empty()) {
            ensure(!given_, "given memory holds as many blocks as tasks are played at once");
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
    bool given_ = false;
    HostMemory space_;
    std::vector<Region> blocks_;
    std::vector<std::byte*> free_;
};

}  // namespace trireme::comm
