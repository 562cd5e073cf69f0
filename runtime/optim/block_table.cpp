#include "runtime/optim/block_table.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numeric>

#include "runtime/core/error.hpp"
#include "runtime/optim/element_rules.hpp"

namespace trireme {
namespace {

/// Below this many blocks a thread, waking the team costs more than it saves.
constexpr std::int64_t blocks_a_thread = 16;

std::int64_t blocks_of(std::int64_t elements) { return (elements + norm_block - 1) / norm_block; }

}  // namespace

BlockTable::BlockTable(std::vector<IndexRange> tensors) : tensors_(std::move(tensors)), first_block_(1, 0) {
    for (const IndexRange& tensor : tensors_)
        first_block_.push_back(first_block_.back() + blocks_of(tensor.size()));
}

int BlockTable::useful_threads(int threads) const {
    return static_cast<int>(std::clamp<std::int64_t>(blocks() / blocks_a_thread, 1, threads));
}

std::size_t BlockTable::tensor_of(std::int64_t block) const {
    const auto after = std::upper_bound(first_block_.begin(), first_block_.end(), block);
    return static_cast<std::size_t>(after - first_block_.begin()) - 1;
}

void BlockTable::add_blocks(std::span<const double> block_sums, std::span<double> tensor_sums) const {
    ensure(block_sums.size() == static_cast<std::size_t>(blocks()) && tensor_sums.size() == tensors(),
           "sums fit the table of blocks");
    for (std::size_t t = 0; t < tensors(); ++t) {
        double sum = 0;
        for (std::int64_t b = first_block_[t]; b < first_block_[t + 1]; ++b) sum += block_sums[b];
        tensor_sums[t] = sum;
    }
}

void squares_of(const BlockTable& table, std::span<const float> arena, int threads,
                std::span<double> block_sums, std::span<double> tensor_sums) {
    table.for_pieces(threads, 1, [&](std::size_t, const IndexRange& range, std::int64_t block) {
        block_sums[static_cast<std::size_t>(block)] =
            rules::sum_of_squares(range.size(), arena.data() + range.begin);
    });
    table.add_blocks(block_sums, tensor_sums);
}

std::vector<double> gradient_norms(const BlockTable& table, std::span<const float> arena, int threads) {
    std::vector<double> block_sums(static_cast<std::size_t>(table.blocks()));
    std::vector<double> norms(table.tensors());
    squares_of(table, arena, threads, block_sums, norms);
    norms.push_back(std::accumulate(norms.begin(), norms.end(), 0.0));
    for (double& norm : norms) norm = std::sqrt(norm);
    return norms;
}

bool all_finite(std::span<const float> values, int threads) {
    const auto n = static_cast<std::int64_t>(values.size());
    const std::int64_t blocks = blocks_of(n);
    const auto useful = std::clamp<std::int64_t>(blocks / blocks_a_thread, 1, threads);
    std::atomic<bool> finite = true;
    cpu::parallel_ranges(static_cast<int>(useful), blocks, [&](int, std::int64_t begin, std::int64_t end) {
        const std::int64_t first = begin * norm_block;
        if (!rules::all_finite(std::min(n, end * norm_block) - first, values.data() + first))
            finite.store(false, std::memory_order_relaxed);
    });
    return finite.load();
}

}  // namespace trireme
