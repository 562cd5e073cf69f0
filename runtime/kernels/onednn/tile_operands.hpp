// Lays out rows of a tensor as operands of tile products (tile_product.hpp). A row is `width` values that lie
// together, of one head say; rows lie `stride` apart.
//
//   rows     [rows][words]                 a left operand whose inner axis is the width
//   panels   [rows / lanes][words][lanes]  the transpose: a right operand whose inner axis is the width
//   floats   [rows][padded width]          a right operand whose inner axis is the rows; fp32
//
// Words are fp32 values or pairs of bf16, as the engine of the products along the width wants them; rows of
// fp32 words are floats. The width and the number of rows are padded with zeros to tile_grain.
#pragma once

#include <cstring>

#include "runtime/core/alignment.hpp"
#include "runtime/kernels/onednn/float_values.hpp"
#include "runtime/kernels/onednn/tile_product.hpp"
#include "runtime/kernels/onednn/vector_loops.hpp"

namespace trireme::onednn {

/// Row r of a tensor begins at element at + r stride.
struct TensorRows {
    const std::byte* tensor = nullptr;
    DType dtype = DType::f32;
    std::int64_t at = 0;
    std::int64_t stride = 0;
};

namespace detail {

typedef std::uint32_t FourWords __attribute__((vector_size(16), aligned(4), may_alias));

/// to[k][i] = from[i][k], four words each way; strides in bytes.
[[gnu::always_inline]] inline void transpose_four(const std::byte* from, std::int64_t from_stride,
                                                  std::byte* to, std::int64_t to_stride) {
    const auto row = [&](std::int64_t i) __attribute__((always_inline)) {
        return *reinterpret_cast<const FourWords*>(from + i * from_stride);
    };
    const FourWords low01 = __builtin_shufflevector(row(0), row(1), 0, 4, 1, 5);
    const FourWords low23 = __builtin_shufflevector(row(2), row(3), 0, 4, 1, 5);
    const FourWords high01 = __builtin_shufflevector(row(0), row(1), 2, 6, 3, 7);
    const FourWords high23 = __builtin_shufflevector(row(2), row(3), 2, 6, 3, 7);
    const auto place = [&](std::int64_t k) __attribute__((always_inline)) {
        return reinterpret_cast<FourWords*>(to + k * to_stride);
    };
    *place(0) = __builtin_shufflevector(low01, low23, 0, 1, 4, 5);
    *place(1) = __builtin_shufflevector(low01, low23, 2, 3, 6, 7);
    *place(2) = __builtin_shufflevector(high01, high23, 0, 1, 4, 5);
    *place(3) = __builtin_shufflevector(high01, high23, 2, 3, 6, 7);
}

}  // namespace detail

class TileOperands {
  public:
    /// Products along the width are those of `tiles`; `vectors` are for the copies.
    TileOperands(const TileEngine& tiles, std::int64_t width, VectorSet vectors)
        : width_(width),
          padded_(round_up(width, tile_grain)),
          lanes_(tiles.lanes),
          word_values_(tiles.word_values),
          vectors_(vectors) {}

    [[nodiscard]] bool pairs() const { return word_values_ == 2; }
    [[nodiscard]] std::int64_t padded_width() const { return padded_; }
    /// What `rows` rows take as rows or panels, and as floats.
    [[nodiscard]] std::int64_t word_bytes(std::int64_t rows) const {
        return round_up(rows, tile_grain) * row_bytes();
    }
    [[nodiscard]] std::int64_t float_bytes(std::int64_t rows) const {
        return round_up(rows, tile_grain) * padded_ * word_size;
    }
    /// Where row r begins as rows, and where its panel does if r is a multiple of tile_grain.
    [[nodiscard]] std::int64_t word_offset(std::int64_t row) const { return row * row_bytes(); }

    /// The factors of a product along the width.
    void factors(TileProduct& p, const std::byte* rows, const std::byte* panels) const {
        p.a = rows;
        p.a_row = row_bytes() / word_size;
        p.b = panels;
        p.b_panel = lanes_ * row_bytes() / word_size;
        p.b_inner = lanes_;
        p.inner = (width_ + word_values_ - 1) / word_values_;
    }

    /// Copies rows [first, first + count) to `floats`.
    void load(const TensorRows& from, std::int64_t first, std::int64_t count, float* floats) const {
        const FloatSource source(from.tensor, from.dtype);
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < count; ++r) {
                    float* row = floats + r * padded_;
                    const float* values = source.read(from.at + (first + r) * from.stride, width_, row);
                    if (values != row) std::copy_n(values, width_, row);
                }
            });
        clear_padding(reinterpret_cast<std::byte*>(floats), count, word_size);
    }

    /// As load(), and makes rows too, for which there is room at `rows`. Returns where they lie: there, or at
    /// `floats` where both are the same. Without `floats` pairs are made alone.
    const std::byte* load(const TensorRows& from, std::int64_t first, std::int64_t count, std::byte* rows,
                          float* floats) const {
        if (!pairs()) {
            float* to = floats != nullptr ? floats : reinterpret_cast<float*>(rows);
            load(from, first, count, to);
            return reinterpret_cast<const std::byte*>(to);
        }
        if (floats != nullptr) load(from, first, count, floats);
        const std::int64_t value_size = size_of(from.dtype);
        for (std::int64_t r = 0; r < count; ++r) {
            std::memcpy(rows + word_offset(r),
                        from.tensor + (from.at + (first + r) * from.stride) * value_size,
                        static_cast<std::size_t>(width_ * value_size));
        }
        clear_padding(rows, count, value_size);
        return rows;
    }

    /// Makes panels of `count` rows.
    void transpose(const std::byte* rows, std::int64_t count, std::byte* panels) const {
        const std::int64_t lane_bytes = lanes_ * word_size;
        run_vectors(
            vectors_, [&]() __attribute__((always_inline)) {
                for (std::int64_t r = 0; r < round_up(count, tile_grain); r += 4) {
                    const std::byte* from = rows + word_offset(r);
                    std::byte* panel = panels + word_offset(r - r % lanes_) + r % lanes_ * word_size;
                    for (std::int64_t k = 0; k < row_bytes() / word_size; k += 4)
                        detail::transpose_four(from + k * word_size, row_bytes(), panel + k * lane_bytes,
                                               lane_bytes);
                }
            });
    }

  private:
    static constexpr std::int64_t word_size = 4;

    [[nodiscard]] std::int64_t row_bytes() const { return padded_ / word_values_ * word_size; }

    /// Zeros behind the width of each row, and in the rows behind the last.
    void clear_padding(std::byte* rows, std::int64_t count, std::int64_t value_size) const {
        const std::int64_t bytes = padded_ * value_size;
        const std::int64_t used = width_ * value_size;
        for (std::int64_t r = 0; used < bytes && r < count; ++r)
            std::memset(rows + r * bytes + used, 0, static_cast<std::size_t>(bytes - used));
        const std::int64_t more = round_up(count, tile_grain) - count;
        std::memset(rows + count * bytes, 0, static_cast<std::size_t>(more * bytes));
    }

    std::int64_t width_;
    std::int64_t padded_;
    std::int64_t lanes_;
    std::int64_t word_values_;
    VectorSet vectors_;
};

}  // namespace trireme::onednn
