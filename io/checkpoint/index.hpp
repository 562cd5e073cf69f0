// The index of a checkpoint: index.json as code. docs/checkpoint-format.md describes it for people.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/checkpoint/checkpoint.hpp"

namespace trireme::io {

inline constexpr std::string_view checkpoint_format_name = "trireme-checkpoint";
inline constexpr std::int64_t checkpoint_schema = 1;
inline constexpr const char* index_file_name = "index.json";
inline constexpr const char* done_file_name = "DONE";

/// A slice and where its bytes are.
struct StoredSlice {
    SliceSpec spec;
    std::size_t file = 0;     ///< index into CheckpointIndex::files
    std::string dataset;      ///< its name inside the HDF5 file
    std::int64_t offset = 0;  ///< bytes from the beginning of the file
    std::uint64_t xxh3 = 0;
};

struct StoredFile {
    std::string name;
    std::int64_t bytes = 0;
};

struct CheckpointIndex {
    std::int64_t step = 0;
    CheckpointMeta meta;
    std::vector<StoredFile> files;
    std::vector<StoredSlice> slices;
};

/// "part-0003.h5"
[[nodiscard]] std::string part_file_name(int rank);
[[nodiscard]] std::filesystem::path step_folder(const std::filesystem::path& dir, std::int64_t step);
/// The N of a folder named step-N; -1 for any other name.
[[nodiscard]] std::int64_t step_of_folder(const std::filesystem::path& folder);
[[nodiscard]] std::filesystem::path temporary_step_folder(const std::filesystem::path& dir,
                                                          std::int64_t step);

[[nodiscard]] std::string index_text(const CheckpointIndex& index);
/// Parses and checks everything that can be checked without the part files. Throws DataError naming `path`.
[[nodiscard]] CheckpointIndex parse_index(const std::string& text, const std::filesystem::path& path);

/// Reads the slices that a part file says it has, with their places. Throws DataError.
[[nodiscard]] std::vector<StoredSlice> read_part_slices(const std::filesystem::path& path);

/// The content of DONE: the checksum of index.json.
[[nodiscard]] std::string done_text(const std::string& index);

/// Opens a complete checkpoint: DONE, checksum of the index, files and their sizes, places inside them.
[[nodiscard]] CheckpointIndex open_checkpoint(const std::filesystem::path& folder);

}  // namespace trireme::io
