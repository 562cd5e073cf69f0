// What `trireme data inspect` and `trireme data verify` say about a data set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "io/data_set.hpp"

namespace trireme::io {

/// What was found wrong, and how much was looked at.
struct VerifyReport {
    std::int64_t blocks = 0;
    std::int64_t samples = 0;
    std::int64_t bytes = 0;  ///< read
    std::int64_t problems = 0;
    std::vector<std::string> messages;  ///< the first hundred problems, each naming file, place and remedy

    [[nodiscard]] bool good() const { return problems == 0; }
    /// Throws DataError with the first problem and how many more there are.
    void require_good() const;
};

/// Reads every block of every split, compares checksums, counts, label ranges, the fingerprint and a
/// tokenizer's checksum. What keeps
/// the set from being opened at all (a missing or cut shard, another schema) is thrown as DataError.
[[nodiscard]] VerifyReport verify_data_set(const std::filesystem::path& folder);

struct SplitSummary {
    std::int64_t samples = 0;
    std::int64_t blocks = 0;
    std::vector<std::int64_t> shard_samples;  ///< by shard
    /// By class, or by element of a 0/1 vector the samples that have a 1 there; empty for floats and tokens.
    std::vector<std::int64_t> class_samples;
};

/// Adds stored targets to counts by class, or by element of a 0/1 vector. Floats and tokens are not counted.
void count_targets(const DataSetInfo& info, std::span<const std::byte> targets,
                   std::vector<std::int64_t>& counts);

struct DataSetSummary {
    DataSetInfo info;
    std::int64_t bytes_on_disk = 0;
    std::int64_t block_samples = 0;
    std::map<std::string, SplitSummary> splits;

    /// One JSON object with all fields.
    [[nodiscard]] std::string json() const;
    /// Lines for people.
    [[nodiscard]] std::string text() const;
};

/// Reads the metadata and the targets, no samples.
[[nodiscard]] DataSetSummary summarize_data_set(const std::filesystem::path& folder);

}  // namespace trireme::io
