// A data set on disk: a folder of HDF5 shards, as docs/data-format.md describes it. This header is what the
// rest of the runtime knows of it; hdf5.h stays inside io/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/dtype.hpp"
#include "runtime/core/shape.hpp"

namespace trireme::io {

/// Samples in one HDF5 chunk, a pure function of the bytes of a sample and of its target as they are stored,
/// so that plans need no data: blocks of about 512 KiB.
[[nodiscard]] std::int64_t block_samples_for(std::int64_t sample_bytes, std::int64_t target_bytes = 4);

/// What the targets of a data set can be.
inline constexpr std::string_view target_class = "class";          ///< an index, i32
inline constexpr std::string_view target_multi_hot = "multi-hot";  ///< a vector of 0 and 1, stored as u8
inline constexpr std::string_view target_float = "float";          ///< a vector of f32
/// The set is a stream of tokens, and the target of each of them is the one behind it; nothing is stored.
inline constexpr std::string_view target_next_token = "next-token";
/// The stored element type of a kind of targets.
[[nodiscard]] DType target_dtype_of(std::string_view kind);

/// One block: a chunk of x and the same rows of y.
struct BlockRef {
    int shard = 0;             ///< index of the file
    std::int64_t chunk = 0;    ///< chunk number inside the split's dataset
    std::int64_t samples = 0;  ///< rows that hold data (the last chunk of a shard may be short)
    std::int64_t tokens = 0;   ///< of a stream with windows: the chunk's tokens; `samples` are its windows
    bool operator==(const BlockRef&) const = default;
};

struct SplitInfo {
    std::int64_t samples = 0;
    std::vector<BlockRef> blocks;  ///< in shard, then chunk order
};

/// What a data set says of itself.
///
/// A stream of tokens has two faces. As it is stored and opened, its samples are single tokens (shape {}).
/// With with_windows(), which is what a job trains on, its samples are windows of T tokens (shape {T}, served
/// as i32) whose targets are the T tokens one further on.
struct DataSetInfo {
    std::filesystem::path folder;
    std::int64_t schema = 2;  ///< version of the shard format
    Shape sample_shape;       ///< height, width, channels; or features
    DType x_dtype = DType::u8;
    std::string target_kind = std::string(target_class);
    Shape target_shape;  ///< {} for class, {k} for vectors, {T} for windows of tokens
    /// What a network has outputs for: classes, the length k of a target vector, or different tokens.
    std::int64_t classes = 0;
    std::int64_t block_tokens = 0;  ///< of a stream: tokens of a full block
    std::string tokenizer;          ///< of a stream: "bytes", or "bpe" (its file lies beside the shards)
    std::string tokenizer_xxh3;     ///< of that file, 16 hex digits; empty for bytes
    std::int64_t context = 0;       ///< tokens of a window; 0: the set as it is stored
    std::vector<std::string> class_names;  ///< one a class, or none
    std::vector<double> mean;              ///< per channel (last axis), of x / 255 for u8
    std::vector<double> stddev;
    std::string source;
    std::string licence;
    std::uint64_t import_seed = 0;
    std::string fingerprint;  ///< 16 hex digits over content checksums: equal on all shards
    int shards = 0;
    std::map<std::string, SplitInfo> splits;  ///< "train", "val", "test": all three, some without samples

    /// Bytes of one sample as stored.
    [[nodiscard]] std::int64_t sample_bytes() const {
        return sample_shape.elements().value * size_of(x_dtype);
    }
    [[nodiscard]] bool has_classes() const { return target_kind == target_class; }
    [[nodiscard]] bool is_stream() const { return target_kind == target_next_token; }
    /// The stored element type of targets: i32, u8 or f32. Vectors are served as f32 whatever they are here.
    [[nodiscard]] DType target_dtype() const { return target_dtype_of(target_kind); }
    /// Bytes of one target as stored.
    [[nodiscard]] std::int64_t target_bytes() const {
        return is_stream() ? 0 : target_shape.elements().value * size_of(target_dtype());
    }
    /// Samples of a full block.
    [[nodiscard]] std::int64_t block_samples() const;
    /// Bytes of x that a block, and a full one, has in its file.
    [[nodiscard]] std::int64_t block_x_bytes(const BlockRef& block) const {
        return context > 0 ? block.tokens * size_of(x_dtype) : block.samples * sample_bytes();
    }
    [[nodiscard]] std::int64_t block_x_bytes() const {
        return is_stream() ? block_tokens * size_of(x_dtype) : block_samples() * sample_bytes();
    }
    [[nodiscard]] std::int64_t block_y_bytes() const { return block_samples() * target_bytes(); }
    /// Full path of shard `index`.
    [[nodiscard]] std::filesystem::path shard_path(int index) const;
    /// The split of that name; a ConfigError that lists the splits when there is none or it has no samples.
    [[nodiscard]] const SplitInfo& split(const std::string& name) const;
};

/// Windows of T tokens (and the one behind each) that a block of `tokens` has, wherever below T the first one
/// begins: floor(tokens / T) - 1, and none where that is negative.
[[nodiscard]] std::int64_t windows_in(std::int64_t tokens, std::int64_t context);

/// A stream whose samples are windows of `context` tokens: blocks without any are left out, samples are
/// counted anew. Throws ConfigError where the train split has tokens but no window.
[[nodiscard]] DataSetInfo with_windows(DataSetInfo stream, std::int64_t context);

/// "shard-03.h5": the number is padded to the width of the largest one, and to two digits at least.
[[nodiscard]] std::string shard_file_name(int index, int shards);

/// Reads and checks the metadata of all shards. Throws DataError naming file, place and remedy (missing
/// folder or shard, another schema version, shards of different sets, truncated files).
[[nodiscard]] DataSetInfo open_data_set(const std::filesystem::path& folder);

}  // namespace trireme::io
