// Products of small matrices that lie in a cache: the tiles of attention (attention.cpp). A library's product
// packs both operands into memory that it allocates, chooses its code anew at each call, and knows nothing of
// a triangle; here operands are laid out once for many products, and what causality masks is not computed.
//
//                 inner                    columns, `lanes` of them a vector
//            +-------------+            +-------+-------+-------+
//    strip   |      a      |     inner  |   b   |       |       |
//            +-------------+            |       |       |       |
//    strip   |             |            +-------+-------+-------+
//            +-------------+
//
// The sums of a strip by some vectors stay in registers over the whole inner length.
// A word is 32 bits: an fp32 value, or two neighbours along the inner axis in bf16, whose products are both
// added to an fp32 sum. Sums go up the inner axis one word at a time, so a result depends on the operands and
// the instruction set alone. Multiply-adds are fused where the processor can, on purpose and not by the
// compiler's choice.
#pragma once

#include <cstddef>
#include <cstdint>

namespace trireme::onednn {

/// What causality leaves of a product. `diagonal` is the first query of the tile less its first key; the
/// query of row r sees keys up to r + diagonal, itself counted.
enum class Masked {
    nothing,
    columns,    ///< rows are queries and columns keys: what lies behind a row's own key may be left as it is
    inner_end,  ///< rows are queries and the inner axis keys: `a` has zeros behind a row's own key
    inner_begin,  ///< rows are keys and the inner axis queries: `a` has zeros before a row's own query
};

/// c = a b, or c += a b. Strides are in words.
struct TileProduct {
    const std::byte* a = nullptr;  ///< word (i, k) at a + i a_row + k a_inner
    std::int64_t a_row = 0;
    std::int64_t a_inner = 1;
    const std::byte* b = nullptr;  ///< word (k, j) at b + j / lanes b_panel + k b_inner + j % lanes
    std::int64_t b_panel = 0;
    std::int64_t b_inner = 0;
    float* c = nullptr;  ///< value (i, j) at c + i c_row + j
    std::int64_t c_row = 0;
    std::int64_t rows = 0;     ///< rounded up to a multiple of tile_grain, in all three matrices
    std::int64_t columns = 0;  ///< likewise
    std::int64_t inner = 0;    ///< in words
    bool add = false;
    Masked masked = Masked::nothing;
    std::int64_t diagonal = 0;
};

/// Rows and columns of a product are computed in multiples of this: what lies between the wanted size and the
/// multiple is read and written, so it must be there, and be numbers where a sum over it is used.
constexpr std::int64_t tile_grain = 16;

/// The products of one instruction set.
struct TileEngine {
    void (*multiply)(const TileProduct& product) = nullptr;
    std::int64_t lanes = 0;        ///< words of a vector
    std::int64_t word_values = 1;  ///< 1: words are fp32; 2: pairs of bf16
};

/// Each for its own processors, in a file of its own.
[[nodiscard]] TileEngine baseline_tiles();
[[nodiscard]] TileEngine avx_tiles();
[[nodiscard]] TileEngine avx2_tiles();
[[nodiscard]] TileEngine avx512_tiles();
[[nodiscard]] TileEngine avx512_bf16_tiles();

/// For words of fp32: the best of what oneDNN sees of this processor.
[[nodiscard]] TileEngine fp32_tiles();
/// Whether the processor multiplies pairs of bf16 (AVX-512 BF16), and its products: only then may they be
/// called.
[[nodiscard]] bool has_bf16_tiles();
[[nodiscard]] TileEngine bf16_tiles();

}  // namespace trireme::onednn
