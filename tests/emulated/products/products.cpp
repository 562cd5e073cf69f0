#include "tests/emulated/products/products.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace trireme::emulated {
namespace {

constexpr std::int64_t lanes = 4;
constexpr std::int64_t tile_rows = 2 * lanes;
constexpr std::int64_t tile_columns = 4;
constexpr std::int64_t inner_block = 256;
constexpr std::int64_t row_block = 128;
using Lanes = float __attribute__((vector_size(lanes * sizeof(float))));

/// Packs lines [lines.begin, lines.end) over k of `inner` in groups of `width`: all lines of a group for one
/// k lie together, then the next k. What is missing in the last group is 0.
template <Element element, std::int64_t width>
void pack_elements(const Lines& from, const Interval& lines, const Interval& inner, float* to) {
    for (std::int64_t first = lines.begin; first < lines.end; first += width) {
        const std::int64_t count = std::min(width, lines.end - first);
        if (count < width) std::fill(to, to + inner.count() * width, 0.0F);
        if (from.stride == 1) {
            for (std::int64_t k = inner.begin; k < inner.end; ++k) {
                float* const group = to + (k - inner.begin) * width;
                const std::int64_t at = first + k * from.inner_stride;
                for (std::int64_t i = 0; i < count; ++i) group[i] = load<element>(from.memory, at + i);
            }
        } else {
            for (std::int64_t i = 0; i < count; ++i) {
                const std::int64_t line = (first + i) * from.stride;
                for (std::int64_t k = inner.begin; k < inner.end; ++k)
                    to[(k - inner.begin) * width + i] =
                        load<element>(from.memory, line + k * from.inner_stride);
            }
        }
        if (from.rounding != Rounding::none) {
            for (std::int64_t i = 0; i < inner.count() * width; ++i) to[i] = rounded(from.rounding, to[i]);
        }
        to += inner.count() * width;
    }
}

template <std::int64_t width>
void pack(const Lines& from, const Interval& lines, const Interval& inner, float* to) {
    switch (from.element) {
        case Element::f32:
            return pack_elements<Element::f32, width>(from, lines, inner, to);
        case Element::bf16:
            return pack_elements<Element::bf16, width>(from, lines, inner, to);
        case Element::f16:
            return pack_elements<Element::f16, width>(from, lines, inner, to);
    }
}

/// sums[column * leading + row] += the product of a packed group of rows and one of columns.
void multiply_tile(const float* a, const float* b, std::int64_t inner, std::int64_t rows,
                   std::int64_t columns, float* sums, std::int64_t leading) {
    Lanes tile[tile_columns][2] = {};
    for (std::int64_t k = 0; k < inner; ++k) {
        Lanes low;
        Lanes high;
        std::memcpy(&low, a + k * tile_rows, sizeof(low));
        std::memcpy(&high, a + k * tile_rows + lanes, sizeof(high));
        for (std::int64_t column = 0; column < tile_columns; ++column) {
            const float factor = b[k * tile_columns + column];
            tile[column][0] += low * factor;
            tile[column][1] += high * factor;
        }
    }
    for (std::int64_t column = 0; column < columns; ++column) {
        float values[tile_rows];
        std::memcpy(values, tile[column], sizeof(values));
        for (std::int64_t row = 0; row < rows; ++row) sums[column * leading + row] += values[row];
    }
}

std::size_t packed_size(std::int64_t lines, std::int64_t width, std::int64_t inner) {
    return static_cast<std::size_t>((lines + width - 1) / width * width * inner);
}

}  // namespace

void add_products(const Lines& left, std::int64_t rows, const Lines& right, const Interval& columns,
                  const Interval& inner, float* sums, std::int64_t leading) {
    const std::int64_t most_inner = std::min(inner_block, inner.count());
    std::vector<float> packed_left(packed_size(std::min(row_block, rows), tile_rows, most_inner));
    std::vector<float> packed_right(packed_size(columns.count(), tile_columns, most_inner));
    for (std::int64_t k = inner.begin; k < inner.end; k += inner_block) {
        const Interval block{k, std::min(k + inner_block, inner.end)};
        pack<tile_columns>(right, columns, block, packed_right.data());
        for (std::int64_t m = 0; m < rows; m += row_block) {
            const Interval some{m, std::min(m + row_block, rows)};
            pack<tile_rows>(left, some, block, packed_left.data());
            for (std::int64_t column = 0; column < columns.count(); column += tile_columns) {
                for (std::int64_t row = 0; row < some.count(); row += tile_rows) {
                    multiply_tile(packed_left.data() + row * block.count(),
                                  packed_right.data() + column * block.count(), block.count(),
                                  std::min(tile_rows, some.count() - row),
                                  std::min(tile_columns, columns.count() - column),
                                  sums + column * leading + m + row, leading);
                }
            }
        }
    }
}

}  // namespace trireme::emulated
