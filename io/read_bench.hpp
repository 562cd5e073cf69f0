// How fast blocks of a data set can be read, beside how fast its files can be read at all.
#pragma once

#include <cstdint>
#include <string>

#include "io/data_set.hpp"

namespace trireme::io {

struct ReadRate {
    std::int64_t bytes = 0;
    double seconds = 0;
    double cached_before = 0;  ///< share of the files that the system held in memory when it began
    [[nodiscard]] double bytes_per_s() const { return static_cast<double>(bytes) / seconds; }
};

/// Asks the system to forget what it holds of the set's files in memory, so that the next read goes to the
/// medium. What is not written back yet is written first.
void forget_cached(const DataSetInfo& info);

/// Every byte of the set's files by pread of 1 MiB, in file order, `workers` threads with a contiguous part
/// each: the most that a reader of these files could reach.
[[nodiscard]] ReadRate read_files(const DataSetInfo& info, int workers);

/// Every block of a split as an epoch of training reads it: in the epoch's order, window by window with a
/// hint for the next one, checksums compared; `workers` threads with a contiguous part of the epoch each.
/// Nothing is decoded. Throws DataError where a block is damaged.
[[nodiscard]] ReadRate read_blocks(const DataSetInfo& info, const std::string& split, int workers,
                                   std::uint64_t seed, std::int64_t epoch);

}  // namespace trireme::io
