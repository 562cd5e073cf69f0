// Tensors of an arena cut into blocks of 4,096 elements, counted from the start of each tensor: the grain of
// norms, of threads, and later of sharded updates. A norm is the root of a sum over blocks: each block in
// fp64 (rules::sum_of_squares fixes the order inside), the blocks of a tensor added in order, the tensors'
// sums added in the order of the table, which is that of their names. Neither threads nor ranks appear in
// that, so norms have the same bits everywhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/virtual_shards.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"

namespace trireme {

inline constexpr std::int64_t norm_block = 4096;  ///< elements

class BlockTable {
  public:
    /// Where each tensor lies in the arena, in elements; in name order.
    explicit BlockTable(std::vector<IndexRange> tensors);

    [[nodiscard]] std::size_t tensors() const { return tensors_.size(); }
    [[nodiscard]] const IndexRange& tensor(std::size_t t) const { return tensors_[t]; }
    [[nodiscard]] std::int64_t blocks() const { return first_block_.back(); }
    [[nodiscard]] std::int64_t first_block(std::size_t t) const { return first_block_[t]; }

    /// Calls body(tensor, elements of the arena, first block) for pieces of at most `blocks_a_piece` blocks
    /// of one tensor, on up to `threads` threads (fewer where the work is small), each piece once.
    template <class Body>
    void for_pieces(int threads, std::int64_t blocks_a_piece, Body&& body) const {
        cpu::parallel_ranges(
            useful_threads(threads), blocks(), [&](int, std::int64_t begin, std::int64_t end) {
                std::size_t t = tensor_of(begin);
                while (begin < end) {
                    while (first_block_[t + 1] <= begin) ++t;
                    const std::int64_t last = std::min({end, first_block_[t + 1], begin + blocks_a_piece});
                    const IndexRange& place = tensors_[t];
                    body(t,
                         IndexRange{place.begin + (begin - first_block_[t]) * norm_block,
                                    std::min(place.end, place.begin + (last - first_block_[t]) * norm_block)},
                         begin);
                    begin = last;
                }
            });
    }

    /// Adds the sums of blocks, [blocks()], to one sum a tensor, [tensors()].
    void add_blocks(std::span<const double> block_sums, std::span<double> tensor_sums) const;

  private:
    [[nodiscard]] int useful_threads(int threads) const;
    [[nodiscard]] std::size_t tensor_of(std::int64_t block) const;

    std::vector<IndexRange> tensors_;
    std::vector<std::int64_t> first_block_;  ///< [tensors + 1]
};

/// Sums of squares of the table's tensors in `arena`, one a tensor. `block_sums`: scratch, [blocks()].
void squares_of(const BlockTable& table, std::span<const float> arena, int threads,
                std::span<double> block_sums, std::span<double> tensor_sums);

/// Norm of each tensor, then, last, of all of them together: [tensors() + 1]. For reports and tests; a step
/// uses squares_of, which allocates nothing.
[[nodiscard]] std::vector<double> gradient_norms(const BlockTable& table, std::span<const float> arena,
                                                 int threads);

/// True where no element is infinite or not a number. On up to `threads` threads.
[[nodiscard]] bool all_finite(std::span<const float> values, int threads = 1);

}  // namespace trireme
