// The two launches of a sum over the rows of a matrix (bodies/column_sums.hpp), over a launch policy.
#pragma once

#include "runtime/device/device.hpp"
#include "runtime/kernels/cuda/bodies/column_sums.hpp"

namespace trireme::cuda {

/// `partials`: Terms::count * tiling.partials() doubles.
template <class Launch, class Terms, class Finish>
void sum_columns(Stream& stream, const Tiling& tiling, const Terms& terms, const Finish& finish,
                 std::byte* partials) {
    auto* sums = reinterpret_cast<double*>(partials);
    Launch::blocks(stream, tiling.blocks(), Tiling::threads, TileSums<Terms>{tiling, terms, sums});
    const ChunkLanes lanes = ChunkLanes::of(tiling);
    Launch::blocks(stream, lanes.warps(), ChunkLanes::threads,
                   SumChunks<Finish>{tiling, lanes, sums, finish});
}

}  // namespace trireme::cuda
