#include "tests/emulated/cudnn/products.hpp"

#include <algorithm>
#include <vector>

namespace trireme::emulated::dnn {
namespace {

constexpr std::int64_t tile_rows = 4;
constexpr std::int64_t tile_columns = 8;
/// Terms that are added up before they are added to the result: sums of sums lose less.
constexpr std::int64_t block = 256;

/// Columns of b side by side, and zeros beside the last of them.
void pack(std::int64_t inner, std::int64_t columns, const float* b, const MatrixView& view, float* packed) {
    std::fill(packed, packed + inner * tile_columns, 0.0F);
    for (std::int64_t k = 0; k < inner; ++k)
        for (std::int64_t j = 0; j < columns; ++j)
            packed[k * tile_columns + j] = b[k * view.row + j * view.column];
}

/// sums = a tile of the product; Rows is fixed so that sums stay in registers.
template <std::int64_t Rows>
void multiply_tile(std::int64_t inner, const float* a, const MatrixView& view, const float* packed,
                   float (&sums)[tile_rows][tile_columns]) {
    float tile[Rows][tile_columns] = {};
    for (std::int64_t k = 0; k < inner; ++k) {
        const float* b = packed + k * tile_columns;
        for (std::int64_t i = 0; i < Rows; ++i) {
            const float factor = a[i * view.row + k * view.column];
            for (std::int64_t j = 0; j < tile_columns; ++j) tile[i][j] += factor * b[j];
        }
    }
    for (std::int64_t i = 0; i < Rows; ++i) std::copy(tile[i], tile[i] + tile_columns, sums[i]);
}

void multiply_rows(std::int64_t rows, std::int64_t inner, const float* a, const MatrixView& view,
                   const float* packed, float (&sums)[tile_rows][tile_columns]) {
    switch (rows) {
        case 1:
            return multiply_tile<1>(inner, a, view, packed, sums);
        case 2:
            return multiply_tile<2>(inner, a, view, packed, sums);
        case 3:
            return multiply_tile<3>(inner, a, view, packed, sums);
        default:
            return multiply_tile<4>(inner, a, view, packed, sums);
    }
}

}  // namespace

void add_product(std::int64_t rows, std::int64_t columns, std::int64_t inner, const MatrixView& a,
                 const MatrixView& b, float* c, std::int64_t c_row) {
    std::vector<float> packed(static_cast<std::size_t>(std::min(inner, block) * tile_columns));
    float sums[tile_rows][tile_columns];
    for (std::int64_t first = 0; first < inner; first += block) {
        const std::int64_t terms = std::min(block, inner - first);
        for (std::int64_t j = 0; j < columns; j += tile_columns) {
            const std::int64_t wide = std::min(tile_columns, columns - j);
            pack(terms, wide, b.data + first * b.row + j * b.column, b, packed.data());
            for (std::int64_t i = 0; i < rows; i += tile_rows) {
                const std::int64_t high = std::min(tile_rows, rows - i);
                multiply_rows(high, terms, a.data + i * a.row + first * a.column, a, packed.data(), sums);
                for (std::int64_t r = 0; r < high; ++r)
                    for (std::int64_t s = 0; s < wide; ++s) c[(i + r) * c_row + j + s] += sums[r][s];
            }
        }
    }
}

}  // namespace trireme::emulated::dnn
