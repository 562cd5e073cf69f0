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
/// The stored element type of a kind of targets.
[[nodiscard]] DType target_dtype_of(std::string_view kind);

/// One block: a chunk of x and the same rows of y.
struct BlockRef {
    int shard = 0;             ///< index of the file
    std::int64_t chunk = 0;    ///< chunk number inside the split's dataset
    std::int64_t samples = 0;  ///< rows that hold data (the last chunk of a shard may be short)
    bool operator==(const BlockRef&) const = default;
};

struct SplitInfo {
    std::int64_t samples = 0;
    std::vector<BlockRef> blocks;  ///< in shard, then chunk order
};

struct DataSetInfo {
    std::filesystem::path folder;
    std::int64_t schema = 2;  ///< version of the shard format
    Shape sample_shape;       ///< height, width, channels; or features
    DType x_dtype = DType::u8;
    std::string target_kind = std::string(target_class);
    Shape target_shape;  ///< {} for class, {k} for vectors
    /// What a network has outputs for: classes, or the length k of a target vector.
    std::int64_t classes = 0;
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
    /// The stored element type of targets: i32, u8 or f32. Vectors are served as f32 whatever they are here.
    [[nodiscard]] DType target_dtype() const { return target_dtype_of(target_kind); }
    /// Bytes of one target as stored.
    [[nodiscard]] std::int64_t target_bytes() const {
        return target_shape.elements().value * size_of(target_dtype());
    }
    /// Rows of a full block.
    [[nodiscard]] std::int64_t block_samples() const {
        return block_samples_for(sample_bytes(), target_bytes());
    }
    /// Full path of shard `index`.
    [[nodiscard]] std::filesystem::path shard_path(int index) const;
    /// The split of that name; a ConfigError that lists the splits when there is none or it has no samples.
    [[nodiscard]] const SplitInfo& split(const std::string& name) const;
};

/// "shard-03.h5": the number is padded to the width of the largest one, and to two digits at least.
[[nodiscard]] std::string shard_file_name(int index, int shards);

/// Reads and checks the metadata of all shards. Throws DataError naming file, place and remedy (missing
/// folder or shard, another schema version, shards of different sets, truncated files).
[[nodiscard]] DataSetInfo open_data_set(const std::filesystem::path& folder);

}  // namespace trireme::io
