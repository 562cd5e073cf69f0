// A product of fp32 matrices of any strides.
#pragma once

#include "tests/emulated/products/products.hpp"

namespace trireme::emulated::dnn {

struct MatrixView {
    const float* data;
    std::int64_t row;     ///< elements from one row to the next
    std::int64_t column;  ///< and from one column to the next
};

/// c += a b, where a is rows by inner, b inner by columns, and c's rows are `c_row` apart.
inline void add_product(std::int64_t rows, std::int64_t columns, std::int64_t inner, const MatrixView& a,
                        const MatrixView& b, float* c, std::int64_t c_row) {
    const auto lines = [](const MatrixView& view, std::int64_t stride, std::int64_t inner_stride) -> Lines {
        return {reinterpret_cast<const std::byte*>(view.data), Element::f32, Rounding::none, stride,
                inner_stride};
    };
    // What lies side by side in the result are columns here and rows there.
    add_products(lines(b, b.column, b.row), columns, lines(a, a.row, a.column), {0, rows}, {0, inner}, c,
                 c_row);
}

}  // namespace trireme::emulated::dnn
