// What tests expect of a provider's kernels for one case.
#pragma once

#include <string_view>
#include <vector>

#include "tests/parity/kernel_bench.hpp"

namespace trireme::parity {

/// Every element within `tolerance` times the largest magnitude of the reference's tensor; NaN is never near.
void expect_near(std::string_view what, const std::vector<double>& got, const std::vector<double>& want,
                 double tolerance);
/// Training, evaluation and training as a first layer, next to the reference within tolerance_of the case.
void expect_parity(KernelBench& bench, const OpCase& op_case);
/// Two runs gave the same bits.
void expect_same_bits(const Results& once, const Results& again);
/// The same kernels on the same values give the same bits, launch after launch.
void expect_repeatable(KernelBench& bench);

enum class Batches { all, largest };
/// A back end for fast jobs may have kernels that do not repeat their bits: cuDNN does only where it is asked
/// to.
enum class Bits { repeat, may_differ };
/// Every provider of the back end on every case that it takes; prints how many of them each took, and what it
/// refused in its own words.
void expect_parity_of_all(Backend& backend, const std::vector<OpCase>& cases, int threads, Batches batches,
                          Bits bits = Bits::repeat);

}  // namespace trireme::parity
