// Sums over the rows of a matrix, for each channel, in two kernels and one fixed order (tiling.hpp):
// gradients of biases, of the weights of norms and of positions, means over an image.
//
//   TileSums<Terms>    partials[term][group][chunk][channel], of the rows of a chunk
//   SumChunks<Finish>  adds the chunks and hands the sums of a channel to Finish
#pragma once

#include "runtime/kernels/cuda/bodies/block.hpp"
#include "runtime/kernels/cuda/bodies/tiling.hpp"

namespace trireme::cuda {

/// Terms says what is added:
///
///     static constexpr int Terms::count            terms of an element
///     auto Terms::column(channel, n) const         constants of a pack of channels
///     void Terms::add(const Column& column, row, first element, n, Pack (&sums)[count]) const
template <class Terms>
struct TileSums {
    Tiling tiling;
    Terms terms;
    double* partials;

    static constexpr int values = Terms::count * pack_size;  ///< of one thread

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<float>(std::int64_t{values} * threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const int threads = block.threads();
        auto* sums = block.template array<float>(values * threads);
        const TilePlace place(tiling, index);
        block.for_each_thread([&](int t) {
            const TileThread thread(tiling, place, t);
            Pack own[Terms::count] = {};
            if (thread.n > 0) {
                const auto column = terms.column(thread.channel, thread.n);
                for (std::int64_t row = thread.row; row < thread.end; row += tiling.lanes)
                    terms.add(column, row, row * tiling.channels + thread.channel, thread.n, own);
            }
            for (int v = 0; v < values; ++v) sums[v * threads + t] = own[v / pack_size][v % pack_size];
        });
        combine_by_halves(block, tiling.tile_packs, [&](int t, int other) {
            for (int v = 0; v < values; ++v) sums[v * threads + t] += sums[v * threads + other];
        });
        block.for_each_thread([&](int t) {
            const TileThread thread(tiling, place, t);
            if (thread.lane > 0) return;
            const std::int64_t before = (place.group * tiling.chunks + place.chunk) * tiling.channels;
            for (int term = 0; term < Terms::count; ++term) {
                double* to = partials + term * tiling.groups * tiling.chunks * tiling.channels + before;
                for_each_of(thread.n, [&](int k) {
                    to[thread.channel + k] = static_cast<double>(sums[(term * pack_size + k) * threads + t]);
                });
            }
        });
    }
};

/// Index: a warp of ChunkLanes. Finish is called once for each channel, with the sums of its terms:
/// void Finish::operator()(std::int64_t channel over all groups, const double (&sums)[count]) const.
template <class Finish>
struct SumChunks {
    Tiling tiling;
    ChunkLanes lanes;
    const double* partials;
    Finish finish;

    static constexpr int count = Finish::count;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(std::int64_t{count} * threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const int threads = block.threads();
        auto* sums = block.template array<double>(count * threads);
        block.for_each_thread([&](int t) {
            const std::int64_t channel = lanes.channel(index, t);
            for (int term = 0; term < count; ++term)
                sums[term * threads + t] =
                    channel < lanes.channels ? own_sum(term, channel, lanes.lane(t)) : 0;
        });
        combine_by_halves(block, lanes.channels_together, [&](int t, int other) {
            for (int term = 0; term < count; ++term) sums[term * threads + t] += sums[term * threads + other];
        });
        block.for_each_thread([&](int t) {
            const std::int64_t channel = lanes.channel(index, t);
            if (lanes.lane(t) > 0 || channel >= lanes.channels) return;
            double whole[count];
            for (int term = 0; term < count; ++term) whole[term] = sums[term * threads + t];
            finish(channel, whole);
        });
    }

    /// Of the chunks that belong to one lane.
    [[nodiscard]] TRIREME_HD double own_sum(int term, std::int64_t channel, int lane) const {
        const Division place(channel, tiling.channels);
        const double* from = partials +
                             (term * tiling.groups + place.quotient) * tiling.chunks * tiling.channels +
                             place.remainder;
        double sum = 0;
        for (std::int64_t chunk = lane; chunk < tiling.chunks; chunk += lanes.lanes)
            sum += from[chunk * tiling.channels];
        return sum;
    }
};

/// Terms of a plain sum of the columns of one tensor.
struct ColumnTerms {
    static constexpr int count = 1;
    Source values;

    struct Column {};
    [[nodiscard]] TRIREME_HD Column column(std::int64_t, int) const { return {}; }
    TRIREME_HD void add(const Column&, std::int64_t, std::int64_t at, int n, Pack (&sums)[count]) const {
        const Pack pack = values.read(at, n);
        for (int k = 0; k < pack_size; ++k) sums[0][k] += pack[k];
    }
};

/// Writes each sum times a factor.
struct ScaledSums {
    static constexpr int count = 1;
    Sink to;
    double factor = 1;

    TRIREME_HD void operator()(std::int64_t channel, const double (&sums)[count]) const {
        to.put(channel, static_cast<float>(sums[0] * factor));
    }
};

}  // namespace trireme::cuda
