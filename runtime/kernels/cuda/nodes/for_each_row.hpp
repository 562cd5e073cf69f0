// The launch of a rule over all rows of a matrix (bodies/tiling.hpp), over a launch policy.
#pragma once

#include "runtime/device/device.hpp"
#include "runtime/kernels/cuda/bodies/tiling.hpp"

namespace trireme::cuda {

template <class Launch, class Rule>
void for_each_row(Stream& stream, const Tiling& tiling, const Rule& rule) {
    Launch::blocks(stream, tiling.blocks(), Tiling::threads, ForEachRow<Rule>{tiling, rule});
}

}  // namespace trireme::cuda
