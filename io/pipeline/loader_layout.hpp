// How a loader's memory is laid out: two regions, the ring of batch buffers (which batches may keep alive)
// and the staging of the workers. A pure function of geometry and options, so that plans and loaders agree.
#pragma once

#include <cstdint>

#include "io/pipeline/batch_loader.hpp"

namespace trireme::io {

struct LoaderLayout {
    std::int64_t slots = 0;    ///< batches ready ahead, and the one in use
    std::int64_t x_bytes = 0;  ///< of one slot, a multiple of 64
    std::int64_t y_bytes = 0;
    std::int64_t ids_bytes = 0;
    std::int64_t workers = 0;
    std::int64_t block_samples = 0;
    std::int64_t block_x_bytes = 0;  ///< of one block of a window
    std::int64_t block_y_bytes = 0;
    std::int64_t order_bytes = 0;    ///< the order inside one window
    std::int64_t run_bytes = 0;      ///< of one run: a window and its order
    std::int64_t scratch_bytes = 0;  ///< of one worker: what a compressed block is read into
    std::int64_t augment_bytes = 0;  ///< of one worker: a sample that was moved
    std::int64_t ring_bytes = 0;     ///< the whole first region
    std::int64_t staging_bytes = 0;  ///< the whole second region

    LoaderLayout(const LoaderGeometry& geometry, const LoaderOptions& options);
};

}  // namespace trireme::io
