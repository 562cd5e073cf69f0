// The gradient of a bias: sums of the columns of a row-major matrix.
#pragma once

#include <cstdint>

#include "runtime/core/dtype.hpp"

namespace trireme::onednn {

/// Each thread sums a contiguous run of rows in blocks, and the threads' sums are added in thread order: the
/// same bits for the same thread count, and an error that grows with the block count, not with the rows.
class ColumnSum {
  public:
    ColumnSum() = default;
    /// `dtype`: of the matrix, fp32 or bf16.
    ColumnSum(std::int64_t rows, std::int64_t columns, int threads, DType dtype);

    [[nodiscard]] Bytes scratch() const;
    void run(const std::byte* matrix, float* sums, float* scratch) const;

  private:
    /// `parts`: parts_per_worker vectors of scratch; the total comes first.
    void sum_rows(const std::byte* matrix, std::int64_t begin, std::int64_t end, float* parts) const;

    std::int64_t rows_ = 0;
    std::int64_t columns_ = 0;
    std::int64_t stride_ = 0;  ///< floats of scratch a partial sum takes: whole cache lines
    int workers_ = 1;
    DType dtype_ = DType::f32;
};

}  // namespace trireme::onednn
