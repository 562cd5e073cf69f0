// The two launches of batch norm's moments (bodies/batch_norm.hpp), over a launch policy.
#pragma once

#include "runtime/device/device.hpp"
#include "runtime/kernels/cuda/bodies/batch_norm.hpp"

namespace trireme::cuda {

/// `partials`: 2 * tiling.partials() doubles.
template <class Launch>
void take_moments(Stream& stream, const Tiling& tiling, const Source& x, const MomentsSink& to,
                  std::byte* partials) {
    auto* moments = reinterpret_cast<double*>(partials);
    Launch::blocks(stream, tiling.blocks(), Tiling::threads, TileMoments{tiling, x, moments});
    const ChunkLanes lanes = ChunkLanes::of(tiling);
    Launch::blocks(stream, lanes.warps(), ChunkLanes::threads, MergeMoments{tiling, lanes, moments, to});
}

}  // namespace trireme::cuda
