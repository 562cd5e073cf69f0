// In which order samples are seen: a pure function of (blocks, seed, epoch, shuffle mode, virtual shards).
//
//      blocks in data-set order        0 1 2 3 4 5 6 7 8
//      permuted by (seed, epoch)       4 0 7 2 8 1 5 3 6           (global; local and none keep the order)
//      cut into runs of virtual shards |4 0 7|7 2 8 1|1 5 3 6|     (a run may begin and end inside a block)
//      each run into windows           |4|0 7||7 2|8 1| ...        (shuffled inside, keyed by seed, epoch,
//      run, window)
//
// Every sample comes exactly once an epoch. Rank and file counts appear nowhere. A window is what a run holds
// in memory: `window_blocks` blocks. The first window of a run is shorter by a random number, so that the
// runs of a rank do not all need new blocks at the same step, and in local mode the same samples do not
// always share a window.
//
// Costs: an epoch's permutation is O(blocks); seeking to any position of a run after that is O(log blocks).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "io/pipeline/batch_loader.hpp"

namespace trireme::io {

/// Blocks that are shuffled together.
inline constexpr std::int64_t window_blocks = 4;

/// Some rows of one block, next to each other.
struct BlockPiece {
    std::int64_t block = 0;  ///< index into SplitInfo::blocks
    std::int64_t first_row = 0;
    std::int64_t rows = 0;
    bool operator==(const BlockPiece&) const = default;
};

/// One sample: a row of a block.
struct SampleRef {
    std::int64_t block = 0;
    std::int64_t row = 0;
    auto operator<=>(const SampleRef&) const = default;
};

/// The blocks of a split as one epoch sees them.
class EpochOrder {
  public:
    explicit EpochOrder(const std::vector<BlockRef>& blocks);
    /// Orders the blocks for `epoch`. Allocates nothing.
    void arrange(std::uint64_t seed, std::int64_t epoch, Shuffle shuffle);

    [[nodiscard]] std::int64_t blocks() const { return static_cast<std::int64_t>(order_.size()); }
    /// The block at place `i` of the epoch, and the position of its first sample.
    [[nodiscard]] std::int64_t block_at(std::int64_t i) const;
    [[nodiscard]] std::int64_t begin_of(std::int64_t i) const;
    /// The place of the block that holds `position`.
    [[nodiscard]] std::int64_t place_of(std::int64_t position) const;

  private:
    std::vector<std::int64_t> samples_;  ///< by block
    std::vector<std::uint64_t> order_;
    std::vector<std::int64_t> begins_;  ///< by place, one more at the end
};

/// One window of a run: its pieces in epoch order and the positions of the epoch's sequence that it covers.
struct Window {
    std::int64_t index = -1;
    IndexRange positions;
    std::int64_t pieces = 0;
    BlockPiece piece[window_blocks];
};

/// A run of an epoch, cut into windows. Pure; refers to the EpochOrder.
class RunOrder {
  public:
    RunOrder(const EpochOrder& epoch_order, IndexRange positions, std::uint64_t seed, std::int64_t epoch,
             std::int64_t run, Shuffle shuffle);

    /// The window that covers `position`, which must be of the run.
    [[nodiscard]] Window window_at(std::int64_t position) const;
    /// The order inside a window: for each of its positions (piece << 32 | row in the block). `out` has
    /// exactly as many elements as the window has positions.
    void fill(const Window& window, std::span<std::uint64_t> out) const;

    static std::int64_t piece_of(std::uint64_t packed) { return static_cast<std::int64_t>(packed >> 32); }
    static std::int64_t row_of(std::uint64_t packed) {
        return static_cast<std::int64_t>(packed & 0xffffffffU);
    }

  private:
    const EpochOrder& epoch_order_;
    IndexRange positions_;
    std::uint64_t seed_;
    std::int64_t epoch_;
    std::int64_t run_;
    Shuffle shuffle_;
    std::int64_t first_place_ = 0;
    std::int64_t end_place_ = 0;
    std::int64_t first_window_ = window_blocks;  ///< blocks of window 0
};

/// Where the first window of T tokens begins in every block of a stream in this epoch, so that epochs see
/// other windows: from 0 to T - 1, and 0 without shuffling (evaluation).
///
///     block   | shift |---- window 0 ----|---- window 1 ----| ... |---- last ----|  left over  |
///             targets are the same tokens, one further on; no window leaves its block
[[nodiscard]] std::int64_t window_shift(std::uint64_t seed, std::int64_t epoch, Shuffle shuffle,
                                        std::int64_t context);

/// The samples of `positions` of run `run`, in order: what a loader serves there. For tests and inspection.
[[nodiscard]] std::vector<SampleRef> samples_of(const std::vector<BlockRef>& blocks,
                                                const VirtualShards& shards, std::uint64_t seed,
                                                std::int64_t epoch, Shuffle shuffle, std::int64_t run,
                                                IndexRange positions);

}  // namespace trireme::io
