// What `trireme checkpoint verify` and `trireme checkpoint show` say.
#pragma once

#include <string>
#include <vector>

#include "io/checkpoint/checkpoint.hpp"

namespace trireme::io {

struct TensorDescription {
    std::string name;
    Shape shape;
    DType dtype = DType::f32;
    std::int64_t slices = 0;
    std::int64_t bytes = 0;
};

struct CheckpointDescription {
    std::filesystem::path folder;
    std::int64_t schema = 0;
    std::int64_t step = 0;
    std::vector<std::string> files;
    std::int64_t bytes = 0;                  ///< of all files
    std::vector<TensorDescription> tensors;  ///< in name order
    CheckpointMeta meta;

    /// One JSON object with all fields.
    [[nodiscard]] std::string json() const;
    /// Lines for people.
    [[nodiscard]] std::string text() const;
};

/// Reads the index alone. Throws DataError as CheckpointReader does.
[[nodiscard]] CheckpointDescription describe_checkpoint(const std::filesystem::path& folder);

struct CheckpointReport {
    std::int64_t slices = 0;
    std::int64_t bytes = 0;
    std::vector<std::string> problems;  ///< each names file, slice and checksums

    [[nodiscard]] bool good() const { return problems.empty(); }
    /// Throws DataError with the first problem and how many more there are.
    void require_good() const;
};

/// Reads every slice and compares checksums. What keeps the checkpoint from being opened is thrown as
/// DataError.
[[nodiscard]] CheckpointReport verify_checkpoint(const std::filesystem::path& folder);

}  // namespace trireme::io
