// Samples of a source in the order in which a shard wants them, read ahead by several threads.
#pragma once

#include "io/import/import.hpp"

namespace trireme::io {

class SampleWindow {
  public:
    /// `order` are the samples of one split; both must live on. `progress` hears how many were read.
    SampleWindow(const ImportSource& source, const DataSetInfo& set, const std::vector<SourceRef>& order,
                 int threads, std::function<void(std::int64_t)> progress);

    /// Copies the rows `begin` to `begin` + n - 1 of the order to `x` and `y`, which have room for n. Rows
    /// must be asked for in ascending order; none from `end` on is read ahead. Throws DataError.
    void copy(std::int64_t begin, std::int64_t end, std::span<std::byte> x, std::span<std::byte> y);

  private:
    void load(IndexRange rows);
    void load_one(std::int64_t row);

    const ImportSource& source_;
    const DataSetInfo& set_;
    const std::vector<SourceRef>& order_;
    const int threads_;
    const std::function<void(std::int64_t)> progress_;
    const std::size_t x_bytes_;
    const std::size_t y_bytes_;
    IndexRange rows_;  ///< what is in memory
    std::vector<std::byte> x_;
    std::vector<std::byte> y_;
};

}  // namespace trireme::io
