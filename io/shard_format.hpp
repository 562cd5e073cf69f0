// The shard format as code: names, limits and the header that every shard of a data set carries.
// docs/data-format.md is the same for people. One place that changes with the schema version.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "io/data_set.hpp"

namespace trireme::io {

inline constexpr std::string_view shard_format_name = "trireme-shard";
/// The newest schema. 1 had classes as targets alone; 2 has vectors too, and is what sets of samples are
/// still written as; 3 has streams of tokens.
inline constexpr std::int64_t shard_schema = 3;
inline constexpr std::int64_t stream_schema = 3;
inline constexpr std::array<const char*, 3> split_names = {"train", "val", "test"};
inline constexpr std::int64_t max_sample_bytes = std::int64_t{1} << 30;
inline constexpr std::int64_t max_classes = std::int64_t{1} << 24;
/// Extent of a sample's last axis, each of whose entries has a mean and a deviation.
inline constexpr std::int64_t max_channels = std::int64_t{1} << 20;
inline constexpr std::int64_t max_target_elements = std::int64_t{1} << 20;
inline constexpr std::int64_t max_block_tokens = std::int64_t{1} << 24;
inline constexpr std::int64_t max_vocabulary = std::int64_t{1} << 16;  ///< what 16 bits can tell apart
inline constexpr const char* tokenizer_file_name = "tokenizer.json";
inline constexpr int max_shards = 99'999;

/// What one shard says of itself and of the whole set.
struct ShardHeader {
    DataSetInfo set;  ///< without folder and splits
    int shard = 0;
    std::map<std::string, std::int64_t> samples;  ///< rows of each split in this shard
};

/// Checksums of one split of one shard, a pair a block.
struct SplitSums {
    std::int64_t samples = 0;
    std::vector<std::uint64_t> x;
    std::vector<std::uint64_t> y;  ///< empty for a stream of tokens
};
/// By split name.
using ShardSums = std::map<std::string, SplitSums>;

/// The digest that all shards of a set carry: over the metadata and all checksums, in shard and split order.
[[nodiscard]] std::string set_fingerprint(const DataSetInfo& set, const std::vector<ShardSums>& shards);

/// One block's place and checksums in its file.
struct StoredBlock {
    std::int64_t x_offset = 0;
    std::int64_t x_bytes = 0;
    std::int64_t y_offset = 0;
    std::int64_t y_bytes = 0;
    std::uint64_t x_xxh3 = 0;
    std::uint64_t y_xxh3 = 0;
    bool x_deflated = false;
    bool y_deflated = false;
};

/// Reads and checks the header of one shard: format, schema, types, extents, chunk sizes.
[[nodiscard]] ShardHeader read_shard_header(const std::filesystem::path& path);
/// Where the blocks of one split are. `fingerprint` must be the file's: a shard that was replaced since the
/// set was opened is a DataError.
[[nodiscard]] std::vector<StoredBlock> read_block_index(const std::filesystem::path& path,
                                                        const std::string& split,
                                                        const std::string& fingerprint);
/// The stored checksums of one shard.
[[nodiscard]] ShardSums read_shard_sums(const std::filesystem::path& path);

}  // namespace trireme::io
