#include "io/pipeline/sample_order.hpp"

#include <numeric>

#include "runtime/core/error.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::io {
namespace {

/// The stream of one run of one epoch. The purpose is put together without memory of its own.
RandomStream run_stream(const char* what, std::uint64_t seed, std::int64_t epoch, std::int64_t run,
                        std::int64_t instance) {
    char text[96];
    const auto end = fmt::format_to_n(text, sizeof text, "shuffle/{}/{}/{}", what, epoch, run);
    return {seed, std::string_view(text, end.size), static_cast<std::uint64_t>(instance)};
}

}  // namespace

EpochOrder::EpochOrder(const std::vector<BlockRef>& blocks)
    : order_(blocks.size()), begins_(blocks.size() + 1) {
    samples_.reserve(blocks.size());
    for (const BlockRef& block : blocks) samples_.push_back(block.samples);
}

void EpochOrder::arrange(std::uint64_t seed, std::int64_t epoch, Shuffle shuffle) {
    std::iota(order_.begin(), order_.end(), std::uint64_t{0});
    if (shuffle == Shuffle::global) {
        RandomStream(seed, "shuffle/blocks", static_cast<std::uint64_t>(epoch)).shuffle(order_);
    }
    begins_[0] = 0;
    for (std::size_t i = 0; i < order_.size(); ++i) begins_[i + 1] = begins_[i] + samples_[order_[i]];
}

std::int64_t EpochOrder::block_at(std::int64_t i) const {
    return static_cast<std::int64_t>(order_[static_cast<std::size_t>(i)]);
}

std::int64_t EpochOrder::begin_of(std::int64_t i) const { return begins_[static_cast<std::size_t>(i)]; }

std::int64_t EpochOrder::place_of(std::int64_t position) const {
    return std::upper_bound(begins_.begin(), begins_.end(), position) - begins_.begin() - 1;
}

RunOrder::RunOrder(const EpochOrder& epoch_order, IndexRange positions, std::uint64_t seed,
                   std::int64_t epoch, std::int64_t run, Shuffle shuffle)
    : epoch_order_(epoch_order),
      positions_(positions),
      seed_(seed),
      epoch_(epoch),
      run_(run),
      shuffle_(shuffle) {
    if (positions.empty()) return;
    first_place_ = epoch_order.place_of(positions.begin);
    end_place_ = epoch_order.place_of(positions.end - 1) + 1;
    first_window_ =
        1 + static_cast<std::int64_t>(run_stream("stagger", seed, epoch, run, 0).below(0, window_blocks));
}

Window RunOrder::window_at(std::int64_t position) const {
    ensure(position >= positions_.begin && position < positions_.end, "a position of the run");
    const std::int64_t place = epoch_order_.place_of(position) - first_place_;
    Window window;
    window.index = place < first_window_ ? 0 : 1 + (place - first_window_) / window_blocks;
    const std::int64_t skipped = window.index == 0 ? 0 : first_window_ + (window.index - 1) * window_blocks;
    const std::int64_t begin = first_place_ + skipped;
    const std::int64_t end =
        std::min(end_place_, begin + (window.index == 0 ? first_window_ : window_blocks));
    for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t from = std::max(positions_.begin, epoch_order_.begin_of(i));
        const std::int64_t to = std::min(positions_.end, epoch_order_.begin_of(i + 1));
        if (i == begin) window.positions.begin = from;
        window.positions.end = to;
        window.piece[window.pieces++] = {epoch_order_.block_at(i), from - epoch_order_.begin_of(i),
                                         to - from};
    }
    return window;
}

void RunOrder::fill(const Window& window, std::span<std::uint64_t> out) const {
    ensure(static_cast<std::int64_t>(out.size()) == window.positions.size(), "one element a position");
    std::size_t next = 0;
    for (std::int64_t p = 0; p < window.pieces; ++p) {
        const BlockPiece& piece = window.piece[p];
        for (std::int64_t row = 0; row < piece.rows; ++row) {
            out[next++] =
                static_cast<std::uint64_t>(p) << 32 | static_cast<std::uint64_t>(piece.first_row + row);
        }
    }
    if (shuffle_ != Shuffle::none) run_stream("window", seed_, epoch_, run_, window.index).shuffle(out);
}

std::int64_t window_shift(std::uint64_t seed, std::int64_t epoch, Shuffle shuffle, std::int64_t context) {
    if (shuffle == Shuffle::none) return 0;
    const RandomStream stream(seed, "shuffle/shift", static_cast<std::uint64_t>(epoch));
    return static_cast<std::int64_t>(stream.below(0, static_cast<std::uint64_t>(context)));
}

std::vector<SampleRef> samples_of(const std::vector<BlockRef>& blocks, const VirtualShards& shards,
                                  std::uint64_t seed, std::int64_t epoch, Shuffle shuffle, std::int64_t run,
                                  IndexRange positions) {
    EpochOrder order(blocks);
    order.arrange(seed, epoch, shuffle);
    const RunOrder run_order(order, shards.run(run), seed, epoch, run, shuffle);
    std::vector<SampleRef> samples;
    std::vector<std::uint64_t> packed;
    Window window;
    for (std::int64_t position = positions.begin; position < positions.end; ++position) {
        if (window.index < 0 || position >= window.positions.end) {
            window = run_order.window_at(position);
            packed.resize(static_cast<std::size_t>(window.positions.size()));
            run_order.fill(window, packed);
        }
        const std::uint64_t ref = packed[static_cast<std::size_t>(position - window.positions.begin)];
        samples.push_back({window.piece[RunOrder::piece_of(ref)].block, RunOrder::row_of(ref)});
    }
    return samples;
}

}  // namespace trireme::io
