// The buffer of a collective whose elements come from elsewhere, and go back there, piece by piece while the
// collective is being played: host memory in front of a device. The step list stays as it is, and so do the
// bits of the sum; a step only waits until what it touches has arrived.
//
//     arrives    | piece 0 | piece 1 | piece 2 | piece 3 |
//     steps           | on piece 0 | on piece 1 | ...
//     settles                      | piece 0 | piece 1 | ...
//
// Both ends are facts of the list alone. What it touches first should arrive first (`first_touches`); a range
// settles with the last step that stores to it (`final_stores`). Elements that no step stores never settle:
// they are what they were.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "comm/step_list.hpp"

namespace trireme::comm {

/// The elements of a step's range that no later step of the list stores to.
struct FinalStore {
    std::size_t step = 0;
    IndexRange range;
    bool operator==(const FinalStore&) const = default;
};

/// In the order of steps. Every element that some step stores lies in one of them, and in one only.
[[nodiscard]] std::vector<FinalStore> final_stores(const StepList& steps);

/// Indices of those of `pieces` that the list touches, in the order in which it first does. `pieces` are in
/// ascending order and do not overlap.
[[nodiscard]] std::vector<std::size_t> first_touches(const StepList& steps,
                                                     std::span<const IndexRange> pieces);

/// Made for one list, and used by one collective at a time. Ranges count in elements, as the list's offsets.
class StagedBuffer {
  public:
    explicit StagedBuffer(std::shared_ptr<const StepList> steps)
        : steps_(std::move(steps)), final_stores_(comm::final_stores(*steps_)) {}
    virtual ~StagedBuffer() = default;
    StagedBuffer(const StagedBuffer&) = delete;
    StagedBuffer& operator=(const StagedBuffer&) = delete;

    [[nodiscard]] const std::shared_ptr<const StepList>& steps() const { return steps_; }
    [[nodiscard]] const std::vector<FinalStore>& final_stores() const { return final_stores_; }

    // Called by the thread that plays the list. Neither waits.

    /// True once all of the range may be read and written. Once true it stays so until the collective ends.
    [[nodiscard]] virtual bool arrived(IndexRange range) = 0;
    /// The range holds what the collective leaves there, and is only read from now on: sends may still do.
    virtual void settled(IndexRange range) = 0;

  private:
    std::shared_ptr<const StepList> steps_;
    std::vector<FinalStore> final_stores_;
};

}  // namespace trireme::comm
