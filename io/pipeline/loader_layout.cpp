#include "io/pipeline/loader_layout.hpp"

#include "io/pipeline/block_reader.hpp"
#include "io/pipeline/sample_order.hpp"
#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t page = 4096;

std::int64_t aligned_bytes(std::int64_t bytes) { return aligned(Bytes(bytes)).value; }

}  // namespace

LoaderLayout::LoaderLayout(const LoaderGeometry& geometry, const LoaderOptions& options) {
    if (options.prefetch < 1)
        throw ConfigError(fmt::format("data.prefetch = {}: must be at least 1", options.prefetch));
    if (options.workers < 1)
        throw ConfigError(fmt::format("data.workers = {}: must be at least 1", options.workers));
    slots = options.prefetch + 1;
    workers = std::min<std::int64_t>(options.workers, geometry.runs);
    x_bytes = aligned_bytes(geometry.batch_samples * geometry.sample_elements * std::int64_t{sizeof(float)});
    // Served elements have 4 bytes, whether they are classes (i32) or of vectors (f32).
    y_bytes = aligned_bytes(geometry.batch_samples * geometry.target_elements * std::int64_t{sizeof(float)});
    ids_bytes = aligned_bytes(geometry.batch_samples * std::int64_t{sizeof(std::int64_t)});
    const bool stream = geometry.block_tokens > 0;
    block_samples = stream ? windows_in(geometry.block_tokens, geometry.sample_elements)
                           : block_samples_for(geometry.sample_bytes, geometry.target_bytes);
    const std::int64_t block_bytes =
        stream ? geometry.block_tokens * (geometry.sample_bytes / geometry.sample_elements)
               : block_samples * geometry.sample_bytes;
    block_x_bytes = aligned_bytes(block_bytes);
    block_y_bytes = aligned_bytes(block_samples * geometry.target_bytes);
    order_bytes = aligned_bytes(window_blocks * block_samples * std::int64_t{sizeof(std::uint64_t)});
    run_bytes = window_blocks * (block_x_bytes + block_y_bytes) + order_bytes;
    scratch_bytes = aligned_bytes(
        BlockReader::scratch_bytes(std::max(block_bytes, block_samples * geometry.target_bytes)));
    augment_bytes = options.augment == Augment::none ? 0 : aligned_bytes(geometry.sample_bytes);
    ring_bytes = round_up(slots * (x_bytes + y_bytes + ids_bytes), page);
    staging_bytes = round_up(geometry.runs * run_bytes + workers * (scratch_bytes + augment_bytes), page);
}

LoaderGeometry geometry_of(const DataSetInfo& info, std::int64_t batch_samples, std::int64_t runs) {
    return {info.sample_shape.elements().value, info.sample_bytes(), batch_samples,    runs,
            info.target_shape.elements().value, info.target_bytes(), info.block_tokens};
}

Bytes planned_bytes(const LoaderGeometry& geometry, const LoaderOptions& options) {
    const LoaderLayout layout(geometry, options);
    return Bytes(layout.ring_bytes + layout.staging_bytes);
}

}  // namespace trireme::io
