// The sums of an embedding's gradient over the sorted list of positions: pieces of all lengths, symbols that
// begin, end and go on at their edges, and symbols that the table has no row for.
#include "runtime/kernels/cuda/bodies/embedding.hpp"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/philox.hpp"

namespace trireme::hostrun {
namespace {

constexpr std::int64_t vocabulary = 6;
constexpr std::int64_t features = 11;  // a whole pack, and one that is not

/// How often each symbol stands in the list; the last count is that of symbols without a row.
using Counts = std::vector<std::int64_t>;

void expect_sums(const Counts& counts, std::int64_t piece) {
    SCOPED_TRACE(testing::Message() << testing::PrintToString(counts) << " in pieces of " << piece);
    std::vector<std::int32_t> symbols;
    for (std::size_t s = 0; s < counts.size(); ++s)
        symbols.insert(symbols.end(), static_cast<std::size_t>(counts[s]), static_cast<std::int32_t>(s));
    const auto count = static_cast<std::int64_t>(symbols.size());
    std::vector<std::int32_t> positions(symbols.size());
    for (std::int64_t i = 0; i < count; ++i)  // any order will do
        positions[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(count - 1 - i);
    std::vector<float> d(static_cast<std::size_t>(count * features));
    const RandomStream dice(3, "gradient");
    // Small integers: their sums are exact.
    for (std::size_t i = 0; i < d.size(); ++i) d[i] = static_cast<float>(dice.below(i, 100)) - 50;
    std::vector<float> wanted(static_cast<std::size_t>(vocabulary * features));
    for (std::int64_t i = 0; i < count; ++i) {
        const std::int64_t symbol = symbols[static_cast<std::size_t>(i)];
        if (symbol == vocabulary) continue;
        for (std::int64_t f = 0; f < features; ++f)
            wanted[static_cast<std::size_t>(symbol * features + f)] +=
                d[static_cast<std::size_t>(positions[static_cast<std::size_t>(i)] * features + f)];
    }
    std::vector<float> table(wanted.size());
    const std::int64_t pieces = (count + piece - 1) / piece;
    std::vector<float> parts(static_cast<std::size_t>(2 * pieces * features),
                             std::numeric_limits<float>::quiet_NaN());
    const cuda::Pieces list{piece,       count, vocabulary, features, {symbols.data(), positions.data()},
                            parts.data()};
    const cuda::Source gradient{reinterpret_cast<const std::byte*>(d.data()), DType::f32};
    const cuda::Sink out{reinterpret_cast<std::byte*>(table.data()), DType::f32};
    const std::int64_t packs = cuda::packs_of(features);
    for (std::int64_t i = count * packs; i-- > 0;) cuda::SumPieces{list, gradient, out}(i);
    for (std::int64_t i = pieces * packs; i-- > 0;) cuda::SumSymbols{list, out}(i);
    EXPECT_EQ(table, wanted);
}

TEST(SymbolSums, AreThoseOfAllPositions) {
    for (const std::int64_t piece : {1, 2, 3, 8, 32, 1000}) {
        expect_sums({0, 0, 0, 1, 0, 0}, piece);
        expect_sums({8, 8, 8, 8, 8, 8}, piece);
        expect_sums({1, 7, 9, 0, 31, 2}, piece);
        expect_sums({0, 100, 1, 1, 64, 3}, piece);
        expect_sums({33, 0, 0, 0, 0, 32}, piece);
    }
}

TEST(SymbolSums, LeaveOutSymbolsWithoutARow) {
    for (const std::int64_t piece : {1, 3, 8, 32}) {
        expect_sums({0, 0, 0, 0, 0, 0, 70}, piece);
        expect_sums({5, 0, 40, 0, 0, 3, 1}, piece);
        expect_sums({5, 0, 40, 0, 0, 3, 65}, piece);
    }
}

}  // namespace
}  // namespace trireme::hostrun
