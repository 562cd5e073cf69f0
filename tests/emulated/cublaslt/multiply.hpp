// Sums over k, in fp32. Blocked and packed, so that whole small trainings go in time: some GFLOP/s a core.
#pragma once

#include "tests/emulated/cublaslt/problem.hpp"

namespace trireme::emulated {

struct Range {
    std::int64_t begin;
    std::int64_t end;
    [[nodiscard]] std::int64_t count() const { return end - begin; }
};

/// sums[(n - columns.begin) * problem.m + m] += the products of op(A)'s row m and op(B)'s column n over the
/// k of `inner`, for every m and the n of `columns`. `a`, `b`: where the matrices of the batch begin.
void add_products(const Problem& problem, const std::byte* a, const std::byte* b, const Range& columns,
                  const Range& inner, float* sums);

}  // namespace trireme::emulated
