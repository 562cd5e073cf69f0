// Writes one shard: what docs/data-format.md describes, the same bytes for the same contents.
//
// Two phases, since the digest over all shards is known only when all are written: ShardWriter writes samples
// and checksums; seal_shard adds mean, std and the fingerprint. A file that is not sealed is refused by every
// reader.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "io/shard_format.hpp"

namespace trireme::io {

namespace hdf5 {
class Dataset;
class File;
}  // namespace hdf5

/// Fills the rows from `first_row` on: samples and targets, as they are stored.
using FillRows = std::function<void(std::int64_t first_row, std::span<std::byte> x, std::span<std::byte> y)>;

class ShardWriter {
  public:
    /// `set` gives all but mean, stddev, fingerprint, folder and splits.
    ShardWriter(const std::filesystem::path& path, const DataSetInfo& set, int shard, bool deflate);
    ~ShardWriter();
    ShardWriter(const ShardWriter&) = delete;
    ShardWriter& operator=(const ShardWriter&) = delete;
    /// Writes one split, block by block; each of "train", "val", "test" once, in that order, empty ones too.
    void write_split(const std::string& name, std::int64_t samples, const FillRows& fill);
    /// Closes the file and makes it durable.
    ShardSums finish();

  private:
    void write_block(const hdf5::Dataset& set, std::int64_t index, std::span<const std::byte> chunk);

    DataSetInfo set_;
    bool deflate_;
    std::filesystem::path path_;
    std::unique_ptr<hdf5::File> file_;
    ShardSums sums_;
    std::vector<std::byte> packed_;
};

/// Adds what only the whole set knows, and makes the file durable.
void seal_shard(const std::filesystem::path& path, const DataSetInfo& set);

}  // namespace trireme::io
