// The product of tile_product.hpp, written once for all instruction sets. Each is a file of its own that
// first tells the compiler its target and then includes this one: everything here has internal linkage, so
// that code for one processor never stands in for that of another.
#pragma once

#include "runtime/kernels/onednn/tile_product.hpp"

namespace trireme::onednn {
namespace {

/// Vectors of words as the compiler knows them. A set adds `rows` and `most_vectors`, whose sums, operands
/// and one more find registers, spread() and multiply_add().
template <int bytes>
struct Vectors {
    typedef float Words __attribute__((vector_size(bytes)));
    typedef float InMemory __attribute__((vector_size(bytes), aligned(4), may_alias));
    typedef float WordInMemory __attribute__((may_alias));
    static constexpr std::int64_t lanes = bytes / 4;
    static constexpr std::int64_t word_values = 1;
    static Words load(const std::byte* at) { return *reinterpret_cast<const InMemory*>(at); }
    static float word(const std::byte* at) { return *reinterpret_cast<const WordInMemory*>(at); }
    static Words load_sums(const float* at) { return *reinterpret_cast<const InMemory*>(at); }
    static void store_sums(Words sums, float* at) { *reinterpret_cast<InMemory*>(at) = sums; }
};

struct InnerRange {
    std::int64_t begin = 0;
    std::int64_t end = 0;
};

/// c[Set::rows][vectors] over an inner range.
template <class Set, int vectors>
[[gnu::always_inline]] inline void multiply_strip(const TileProduct& p, const std::byte* a,
                                                  const std::byte* b, float* c, InnerRange inner) {
    constexpr std::int64_t word = 4;
    typename Set::Words sums[Set::rows][vectors];
#pragma GCC unroll 8
    for (int i = 0; i < Set::rows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v)
            sums[i][v] = p.add ? Set::load_sums(c + i * p.c_row + v * Set::lanes) : typename Set::Words{};
    }
    const std::int64_t a_row = p.a_row * word;
    const std::int64_t a_inner = p.a_inner * word;
    const std::int64_t b_panel = p.b_panel * word;
    const std::int64_t b_inner = p.b_inner * word;
    a += inner.begin * a_inner;
    b += inner.begin * b_inner;
    for (std::int64_t k = inner.begin; k < inner.end; ++k, a += a_inner, b += b_inner) {
        typename Set::Words panel[vectors];
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) panel[v] = Set::load(b + v * b_panel);
#pragma GCC unroll 8
        for (int i = 0; i < Set::rows; ++i) {
            const typename Set::Words spread = Set::spread(a + i * a_row);
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) sums[i][v] = Set::multiply_add(spread, panel[v], sums[i][v]);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < Set::rows; ++i) {
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) Set::store_sums(sums[i][v], c + i * p.c_row + v * Set::lanes);
    }
}

constexpr std::int64_t rounded_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

/// The inner range of the strip that begins at row i; empty where the strip has nothing in the columns from j
/// on.
template <class Set>
InnerRange inner_of(const TileProduct& p, std::int64_t i, std::int64_t j) {
    const std::int64_t own = i + p.diagonal;  // the key of the first row, where rows are queries
    switch (p.masked) {
        case Masked::columns:
            return {0, j < own + Set::rows ? p.inner : 0};
        case Masked::inner_end: {
            const std::int64_t end = (own + Set::rows + Set::word_values - 1) / Set::word_values;
            return {0, end < p.inner ? end : p.inner};
        }
        case Masked::inner_begin: {
            const std::int64_t begin = (i - p.diagonal) / Set::word_values;
            return {begin > 0 ? begin : 0, p.inner};
        }
        case Masked::nothing:
            break;
    }
    return {0, p.inner};
}

template <class Set, int vectors>
void multiply_columns(const TileProduct& p, std::int64_t j) {
    const std::byte* b = p.b + j / Set::lanes * p.b_panel * 4;
    for (std::int64_t i = 0; i < p.rows; i += Set::rows) {
        const InnerRange inner = inner_of<Set>(p, i, j);
        if (inner.begin >= inner.end && (p.add || p.masked == Masked::columns)) continue;
        multiply_strip<Set, vectors>(p, p.a + i * p.a_row * 4, b, p.c + i * p.c_row + j, inner);
    }
}

/// As many vectors at a time as their sums find registers, but the last four as two and two rather than three
/// and one.
template <class Set>
void multiply_tile(const TileProduct& p) {
    const std::int64_t columns = rounded_up(p.columns, tile_grain);
    for (std::int64_t j = 0; j < columns;) {
        const std::int64_t left = (columns - j) / Set::lanes;
        const std::int64_t vectors = left == 4 ? 2 : left < Set::most_vectors ? left : Set::most_vectors;
        if (vectors == 3) multiply_columns<Set, 3>(p, j);
        if (vectors == 2) multiply_columns<Set, 2>(p, j);
        if (vectors == 1) multiply_columns<Set, 1>(p, j);
        j += vectors * Set::lanes;
    }
}

template <class Set>
TileEngine engine_of() {
    return {&multiply_tile<Set>, Set::lanes, Set::word_values};
}

}  // namespace
}  // namespace trireme::onednn
