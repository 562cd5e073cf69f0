// The gradient of a bias: sums of the columns of a row-major matrix.
#pragma once

#include <cstdint>

#include "runtime/core/strong.hpp"

namespace trireme::onednn {

/// Each thread sums a contiguous run of rows in blocks, and the threads' sums are added in thread order: the
/// same bits for the same thread count, and an error that grows with the block count, not with the rows.
class ColumnSum {
  public:
    ColumnSum() = default;
    ColumnSum(std::int64_t rows, std::int64_t columns, int threads);

    [[nodiscard]] Bytes scratch() const;
    void run(const float* matrix, float* sums, float* scratch) const;

  private:
    void sum_rows(const float* matrix, std::int64_t begin, std::int64_t end, float* total,
                  float* block) const;

    std::int64_t rows_ = 0;
    std::int64_t columns_ = 0;
    std::int64_t stride_ = 0;  ///< floats of scratch a partial sum takes: whole cache lines
    int workers_ = 1;
};

}  // namespace trireme::onednn
