// Tile products of every instruction set that this processor has. The values are small whole numbers, so that
// any order of sums gives the same floats and the expected ones are exact.
#include "runtime/kernels/onednn/tile_product.hpp"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/bfloat16.hpp"

namespace trireme::onednn {
namespace {

struct Engine {
    std::string name;
    TileEngine tiles;
};

std::vector<Engine> engines() {
    std::vector<Engine> found{{"chosen", fp32_tiles()}, {"baseline", baseline_tiles()}};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx")) found.push_back({"avx", avx_tiles()});
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found.push_back({"avx2", avx2_tiles()});
#endif
    if (has_bf16_tiles()) found.push_back({"bf16", bf16_tiles()});
    return found;
}

/// Whole numbers from -3 to 3.
float value_at(std::int64_t i, std::int64_t j) { return static_cast<float>((i * 31 + j * 17) % 7 - 3); }

/// A matrix of words whose pairs, where words are pairs, lie along the inner axis.
class Words {
  public:
    Words(std::int64_t count, std::int64_t word_values)
        : word_values_(word_values), words_(static_cast<std::size_t>(count)) {}

    /// Value `inner` of the row or column whose words begin at `at` and lie `stride` apart.
    void set(std::int64_t at, std::int64_t stride, std::int64_t inner, float value) {
        const auto word = static_cast<std::size_t>(at + inner / word_values_ * stride);
        if (word_values_ == 1) {
            words_[word] = std::bit_cast<std::uint32_t>(value);
        } else {
            words_[word] |= static_cast<std::uint32_t>(bf16_of_float(value)) << (inner % 2 * 16);
        }
    }
    [[nodiscard]] const std::byte* data() const { return reinterpret_cast<const std::byte*>(words_.data()); }

  private:
    std::int64_t word_values_;
    std::vector<std::uint32_t> words_;
};

struct Case {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t inner = 0;
    bool transposed = false;  ///< the left operand lies as its transpose
    bool add = false;
    Masked masked = Masked::nothing;
    std::int64_t diagonal = 0;

    [[nodiscard]] bool sees(std::int64_t query, std::int64_t key) const { return key <= query + diagonal; }
    /// What a product over masked probabilities has there: zeros where the query does not see the key.
    [[nodiscard]] float left(std::int64_t i, std::int64_t k) const {
        if (masked == Masked::inner_end && !sees(i, k)) return 0;
        if (masked == Masked::inner_begin && !sees(k, i)) return 0;
        return value_at(i, k);
    }
    [[nodiscard]] float expected(std::int64_t i, std::int64_t j) const {
        float sum = add ? value_at(j, i) : 0;
        for (std::int64_t k = 0; k < inner; ++k) sum += left(i, k) * value_at(k, j + 5);
        return sum;
    }
};

void expect_product(const Engine& engine, const Case& c) {
    const TileEngine& tiles = engine.tiles;
    const std::int64_t rows = round_up(c.rows, tile_grain);
    const std::int64_t columns = round_up(c.columns, tile_grain);
    const std::int64_t words = (c.inner + tiles.word_values - 1) / tiles.word_values;
    TileProduct p{.rows = c.rows, .columns = c.columns, .inner = words};
    p.a_row = c.transposed ? 1 : words + 3;
    p.a_inner = c.transposed ? rows + 5 : 1;
    p.b_inner = tiles.lanes;
    p.b_panel = words * tiles.lanes;
    p.c_row = columns + 1;
    p.add = c.add;
    p.masked = c.masked;
    p.diagonal = c.diagonal;
    Words a(rows * p.a_row + words * p.a_inner, tiles.word_values);
    Words b(columns * words, tiles.word_values);
    std::vector<float> sums(static_cast<std::size_t>(rows * p.c_row));
    for (std::int64_t k = 0; k < c.inner; ++k) {
        for (std::int64_t i = 0; i < c.rows; ++i) a.set(i * p.a_row, p.a_inner, k, c.left(i, k));
        for (std::int64_t j = 0; j < c.columns; ++j)
            b.set(j / tiles.lanes * p.b_panel + j % tiles.lanes, p.b_inner, k, value_at(k, j + 5));
    }
    for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < p.c_row; ++j)
            sums[static_cast<std::size_t>(i * p.c_row + j)] = value_at(j, i);
    }
    p.a = a.data();
    p.b = b.data();
    p.c = sums.data();
    tiles.multiply(p);
    for (std::int64_t i = 0; i < c.rows; ++i) {
        const float* row = sums.data() + i * p.c_row;
        for (std::int64_t j = 0; j < c.columns; ++j) {
            if (c.masked == Masked::columns && !c.sees(i, j)) continue;
            ASSERT_EQ(row[j], c.expected(i, j)) << "row " << i << ", column " << j;
        }
        ASSERT_EQ(row[columns], value_at(columns, i)) << "written behind row " << i;
    }
}

TEST(TileProduct, IsExactOnWholeNumbers) {
    for (const Engine& engine : engines()) {
        for (const std::int64_t columns : {1, 16, 48, 50, 64, 80}) {
            for (const bool transposed : {false, true}) {
                for (const bool add : {false, true}) {
                    SCOPED_TRACE(::testing::Message()
                                 << engine.name << ", " << columns << " columns, transposed " << transposed
                                 << ", add " << add);
                    expect_product(engine, {19, columns, 37, transposed, add});
                    expect_product(engine, {64, columns, 64, transposed, add});
                    if (HasFatalFailure()) return;
                }
            }
        }
    }
}

// Tiles that begin at the diagonal, that lie left of it, and whose rows are fewer than a strip's.
TEST(TileProduct, LeavesOutWhatIsMasked) {
    for (const Engine& engine : engines()) {
        for (const std::int64_t diagonal : {0, 16, 64}) {
            for (const std::int64_t queries : {5, 16, 64}) {
                SCOPED_TRACE(::testing::Message()
                             << engine.name << ", diagonal " << diagonal << ", " << queries << " queries");
                const std::int64_t keys = diagonal + queries;
                expect_product(engine, {queries, keys, 24, false, false, Masked::columns, diagonal});
                expect_product(engine, {queries, 33, keys, false, false, Masked::inner_end, diagonal});
                expect_product(engine, {queries, 33, keys, false, true, Masked::inner_end, diagonal});
                expect_product(engine, {keys, 33, queries, true, true, Masked::inner_begin, diagonal});
                if (HasFatalFailure()) return;
            }
        }
    }
}

}  // namespace
}  // namespace trireme::onednn
