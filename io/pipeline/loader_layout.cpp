#include "io/pipeline/loader_layout.hpp"

#include "io/pipeline/block_reader.hpp"
#include "io/pipeline/sample_order.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

constexpr std::int64_t alignment = 64;
constexpr std::int64_t page = 4096;

std::int64_t round_up(std::int64_t bytes, std::int64_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

LoaderLayout::LoaderLayout(const LoaderGeometry& geometry, const LoaderOptions& options) {
    if (options.prefetch < 1)
        throw ConfigError(fmt::format("data.prefetch = {}: must be at least 1", options.prefetch));
    if (options.workers < 1)
        throw ConfigError(fmt::format("data.workers = {}: must be at least 1", options.workers));
    slots = options.prefetch + 1;
    workers = std::min<std::int64_t>(options.workers, geometry.runs);
    x_bytes =
        round_up(geometry.batch_samples * geometry.sample_elements * std::int64_t{sizeof(float)}, alignment);
    // Served elements have 4 bytes, whether they are classes (i32) or of vectors (f32).
    y_bytes =
        round_up(geometry.batch_samples * geometry.target_elements * std::int64_t{sizeof(float)}, alignment);
    ids_bytes = round_up(geometry.batch_samples * std::int64_t{sizeof(std::int64_t)}, alignment);
    block_samples = block_samples_for(geometry.sample_bytes, geometry.target_bytes);
    block_x_bytes = round_up(block_samples * geometry.sample_bytes, alignment);
    block_y_bytes = round_up(block_samples * geometry.target_bytes, alignment);
    order_bytes = round_up(window_blocks * block_samples * std::int64_t{sizeof(std::uint64_t)}, alignment);
    run_bytes = window_blocks * (block_x_bytes + block_y_bytes) + order_bytes;
    scratch_bytes =
        round_up(BlockReader::scratch_bytes(geometry.sample_bytes, geometry.target_bytes), alignment);
    augment_bytes = options.augment == Augment::none ? 0 : round_up(geometry.sample_bytes, alignment);
    ring_bytes = round_up(slots * (x_bytes + y_bytes + ids_bytes), page);
    staging_bytes = round_up(geometry.runs * run_bytes + workers * (scratch_bytes + augment_bytes), page);
}

LoaderGeometry geometry_of(const DataSetInfo& info, std::int64_t batch_samples, std::int64_t runs) {
    return {info.sample_shape.elements().value, info.sample_bytes(), batch_samples, runs,
            info.target_shape.elements().value, info.target_bytes()};
}

Bytes planned_bytes(const LoaderGeometry& geometry, const LoaderOptions& options) {
    const LoaderLayout layout(geometry, options);
    return Bytes(layout.ring_bytes + layout.staging_bytes);
}

}  // namespace trireme::io
