// Reads whole blocks of one split and verifies them. Thread-safe: files are opened when first needed, their
// chunk offsets asked from HDF5 once, and from then on blocks are read by pread, any number at a time.
// Compressed chunks are read raw and inflated by the calling thread.
//
// Besides what callers give it, a reader keeps 56 bytes a block of the files it has opened.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "io/data_set.hpp"
#include "io/pipeline/batch_loader.hpp"
#include "io/posix_file.hpp"
#include "io/shard_format.hpp"

namespace trireme::io {

class BlockReader {
  public:
    BlockReader(const DataSetInfo& info, const std::string& split);

    [[nodiscard]] const std::vector<BlockRef>& blocks() const { return split_.blocks; }
    /// The file that a block is in.
    [[nodiscard]] std::filesystem::path path_of(const BlockRef& ref) const {
        return info_.shard_path(ref.shard);
    }
    /// Position of the block's first sample in data-set order.
    [[nodiscard]] std::int64_t first_sample(std::int64_t block) const;
    /// Bytes that `scratch` of `read` must have; needed for compressed sets only, and then as large as the
    /// larger part of a full block (x or y), of `largest` bytes, can become by compressing it.
    [[nodiscard]] static std::int64_t scratch_bytes(std::int64_t largest);
    [[nodiscard]] static std::int64_t scratch_bytes(const DataSetInfo& info) {
        return scratch_bytes(std::max(info.block_x_bytes(), info.block_y_bytes()));
    }

    /// Fills x and y of all rows of block `block`, as they are stored; of a stream all tokens of the block,
    /// and no y. Throws DataError naming file, chunk and checksum, or the row whose target is none: a class
    /// or token out of range, neither 0 nor 1, not finite.
    void read(std::int64_t block, std::span<std::byte> x, std::span<std::byte> y,
              std::span<std::byte> scratch);
    /// The targets alone.
    void read_targets(std::int64_t block, std::span<std::byte> y, std::span<std::byte> scratch);
    /// Hints that a block is read soon.
    void will_need(std::int64_t block) noexcept;
    [[nodiscard]] ReadCounters counters() const;

  private:
    struct Shard {
        std::mutex opening;
        std::atomic<bool> ready{false};
        std::unique_ptr<PosixFile> file;
        std::vector<StoredBlock> blocks;
    };

    const Shard& shard_of(const BlockRef& ref);
    void read_part(const Shard& shard, const BlockRef& ref, std::span<std::byte> out,
                   std::span<std::byte> scratch, bool is_x);
    void check_targets(const BlockRef& ref, std::span<const std::byte> y) const;
    void check_tokens(const BlockRef& ref, std::span<const std::byte> x) const;

    const DataSetInfo info_;
    const std::string name_;
    const SplitInfo& split_;
    std::vector<std::int64_t> first_;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::atomic<std::int64_t> blocks_read_{0};
    std::atomic<std::int64_t> bytes_read_{0};
    std::atomic<std::int64_t> files_opened_{0};
};

}  // namespace trireme::io
