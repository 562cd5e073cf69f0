// A product of matrices in fp32, for operands of any strides.
#pragma once

#include <cstdint>

namespace trireme::emulated::dnn {

struct MatrixView {
    const float* data;
    std::int64_t row;     ///< elements from one row to the next
    std::int64_t column;  ///< and from one column to the next
};

/// c += a b, where a is rows by inner, b inner by columns, and c's rows are `c_row` apart.
void add_product(std::int64_t rows, std::int64_t columns, std::int64_t inner, const MatrixView& a,
                 const MatrixView& b, float* c, std::int64_t c_row);

}  // namespace trireme::emulated::dnn
