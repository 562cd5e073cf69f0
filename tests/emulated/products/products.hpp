// Products of matrices in fp32, for all doubles. Blocked and packed, so that whole small trainings go in
// time: some GFLOP/s a core.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/emulated/products/elements.hpp"

namespace trireme::emulated {

struct Interval {
    std::int64_t begin;
    std::int64_t end;
    [[nodiscard]] std::int64_t count() const { return end - begin; }
};

/// A matrix as a product walks it: lines are the rows of the left one, or the columns of the right one.
struct Lines {
    const std::byte* memory;
    Element element;
    Rounding rounding;          ///< of what is read
    std::int64_t stride;        ///< elements from a line to the next
    std::int64_t inner_stride;  ///< and along k
};

/// sums[(n - columns.begin) * leading + m] += the products of left's line m and right's line n over the k of
/// `inner`, for every m below `rows` and the n of `columns`. 256 terms are added up at a time before they are
/// added to the result: sums of sums lose less.
void add_products(const Lines& left, std::int64_t rows, const Lines& right, const Interval& columns,
                  const Interval& inner, float* sums, std::int64_t leading);

}  // namespace trireme::emulated
