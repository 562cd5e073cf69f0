// How a matrix of rows and channels is cut for kernels that work channel by channel: norms, biases, sums of
// columns, means over positions.
//
//              channels
//        +--------+--------+---     A block of threads takes one tile of channels of one chunk of rows. Its
//   rows | block  | block  |        threads stand side by side over packs of eight channels and below each
//        | 0      | 1      |        other over rows ("lanes"): thread t has pack t mod tile_packs and walks
//        the
//        +--------+--------+---     rows t / tile_packs, + lanes, + 2 lanes, ... of the chunk. What belongs
//        to a | block  | block  |        channel, such as its mean, it loads once. | 2      | 3      |
//
// Sums over rows are formed in this order: rows of a lane, lanes by halves (both in fp32), chunks by
// SumChunks in fp64. The cut depends on the extents alone, so the bits do too. There may be several such
// matrices, one behind the other (groups), such as the samples of a mean over positions.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

struct Tiling {
    static constexpr int threads = 256;
    /// More blocks than these make nothing faster: several for each multiprocessor of today's largest GPUs.
    static constexpr std::int64_t enough_blocks = 1024;
    /// Rows of a lane that make a chunk worth its partial sums.
    static constexpr std::int64_t least_rows_a_lane = 8;

    std::int64_t groups = 1;
    std::int64_t rows = 0;  ///< of each group
    std::int64_t channels = 0;
    int tile_packs = 1;  ///< a power of two
    int lanes = threads;
    std::int64_t tiles = 0;
    std::int64_t chunk_rows = 0;
    std::int64_t chunks = 0;

    static Tiling of(std::int64_t groups, std::int64_t rows, std::int64_t channels) {
        Tiling t;
        t.groups = groups;
        t.rows = rows;
        t.channels = channels;
        const std::int64_t packs = packs_of(channels);
        while (t.tile_packs < packs && t.tile_packs < 32) t.tile_packs *= 2;
        t.lanes = threads / t.tile_packs;
        t.tiles = (packs + t.tile_packs - 1) / t.tile_packs;
        const std::int64_t wanted = std::max<std::int64_t>(1, enough_blocks / (t.tiles * groups));
        const std::int64_t least = least_rows_a_lane * t.lanes;
        t.chunk_rows = std::max(least, (rows + wanted - 1) / wanted);
        t.chunk_rows = (t.chunk_rows + t.lanes - 1) / t.lanes * t.lanes;
        t.chunks = (rows + t.chunk_rows - 1) / t.chunk_rows;
        return t;
    }

    [[nodiscard]] std::int64_t blocks() const { return groups * chunks * tiles; }
    /// Values of one kind that the chunks of all groups give for all channels.
    [[nodiscard]] TRIREME_HD std::int64_t partials() const { return groups * chunks * channels; }
    [[nodiscard]] TRIREME_HD std::int64_t chunk_size(std::int64_t chunk) const {
        const std::int64_t left = rows - chunk * chunk_rows;
        return left < chunk_rows ? left : chunk_rows;
    }
    /// How many rows of a chunk a lane walks.
    [[nodiscard]] TRIREME_HD std::int64_t lane_size(std::int64_t chunk, int lane) const {
        const std::int64_t size = chunk_size(chunk);
        return lane < size ? (size - lane - 1) / lanes + 1 : 0;
    }
};

/// How the partial results of chunks are put together: a warp takes some channels side by side and, below
/// each other, some lanes that share the chunks; with one chunk there are 32 channels, with 32 or more one.
struct ChunkLanes {
    static constexpr int threads = 32;

    int lanes = 1;  ///< a power of two
    int channels_together = threads;
    std::int64_t channels = 0;  ///< of all groups

    static ChunkLanes of(const Tiling& tiling) {
        ChunkLanes l;
        while (l.lanes < tiling.chunks && l.lanes < threads) l.lanes *= 2;
        l.channels_together = threads / l.lanes;
        l.channels = tiling.groups * tiling.channels;
        return l;
    }
    [[nodiscard]] std::int64_t warps() const {
        return (channels + channels_together - 1) / channels_together;
    }
    /// What thread t of a warp has: a channel, counted over all groups (there may be none), and a lane.
    [[nodiscard]] TRIREME_HD std::int64_t channel(std::int64_t warp, int t) const {
        return warp * channels_together + t % channels_together;
    }
    [[nodiscard]] TRIREME_HD int lane(int t) const { return t / channels_together; }
};

/// What one block of a tiling works on.
struct TilePlace {
    TRIREME_HD TilePlace(const Tiling& t, std::int64_t block) {
        const Division by_tile(block, t.tiles);
        const Division by_chunk(by_tile.quotient, t.chunks);
        first_pack = by_tile.remainder * t.tile_packs;
        chunk = by_chunk.remainder;
        group = by_chunk.quotient;
        first_row = group * t.rows + chunk * t.chunk_rows;
    }
    std::int64_t group;
    std::int64_t chunk;
    std::int64_t first_pack;
    std::int64_t first_row;  ///< counted over all groups
};

/// What one thread of such a block works on.
struct TileThread {
    TRIREME_HD TileThread(const Tiling& t, const TilePlace& place, int thread)
        : channel((place.first_pack + thread % t.tile_packs) * pack_size),
          lane(thread / t.tile_packs),
          row(place.first_row + lane),
          end(place.first_row + t.chunk_size(place.chunk)) {
        const std::int64_t left = t.channels - channel;
        n = static_cast<int>(left < 0 ? 0 : left < pack_size ? left : pack_size);
    }
    std::int64_t channel;
    int lane;
    std::int64_t row;
    std::int64_t end;
    int n;  ///< channels: 0 for a thread beyond the last one
};

/// Runs `Rule` over all rows: constants of a pack of channels once, then each row.
///
///     auto Rule::column(std::int64_t channel, int n) const
///     void Rule::row(const Column& column, std::int64_t row, std::int64_t first element, int n) const
template <class Rule>
struct ForEachRow {
    Tiling tiling;
    Rule rule;

    [[nodiscard]] static std::int64_t shared_bytes(int) { return 0; }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const TilePlace place(tiling, index);
        block.for_each_thread([&](int t) {
            const TileThread thread(tiling, place, t);
            if (thread.n == 0) return;
            const auto column = rule.column(thread.channel, thread.n);
            for (std::int64_t row = thread.row; row < thread.end; row += tiling.lanes) {
                rule.row(column, row, row * tiling.channels + thread.channel, thread.n);
            }
        });
    }
};

}  // namespace trireme::cuda
