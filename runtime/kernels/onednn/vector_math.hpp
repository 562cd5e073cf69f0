// Functions of our own loops in operations that vectorise. All are always inlined, so that they are compiled
// for the vectors of the loop around them (vector_loops.hpp).
#pragma once

#include <bit>
#include <cstdint>

namespace trireme::onednn {

/// exp(x) for x <= 0 (and a little above, where rounding leaves a difference of equal numbers) within 2 units
/// in the last place: x = n ln 2 + r with |r| <= ln 2 / 2, and the Taylor polynomial of degree 7 in r (its
/// remainder is below 6e-9). Below the smallest normal number the result is that number; NaN stays NaN.
///
/// Written without a branch that a compiler could make of it, since one would keep the loop scalar: the bits
/// of negative numbers grow with their magnitude, so that the clamp is a minimum of integers; what is added
/// to round to a whole number leaves that number in the low bits; and a NaN is kept by bits that are chosen
/// among constants, because a choice of results would draw their making behind a branch.
[[nodiscard, gnu::always_inline]] inline float exp_of_nonpositive(float x) {
    constexpr auto lowest = std::bit_cast<std::uint32_t>(-87.33F);
    constexpr float log2_e = 1.44269504F;
    // ln 2 in two parts, the first with few bits, so that n times it is exact.
    constexpr float ln2_high = 0.693359375F;
    constexpr float ln2_low = -2.12194440e-4F;
    constexpr float rounder = 0x1.8p23F;
    const auto bits = std::bit_cast<std::uint32_t>(x);
    const auto clamped = std::bit_cast<float>(bits < lowest ? bits : lowest);
    const float shifted = clamped * log2_e + rounder;
    const float n = shifted - rounder;
    const float r = (clamped - n * ln2_high) - n * ln2_low;
    float p = 1.0F / 5040;
    p = p * r + 1.0F / 720;
    p = p * r + 1.0F / 120;
    p = p * r + 1.0F / 24;
    p = p * r + 1.0F / 6;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    const auto whole = std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(rounder);
    const float result = p * std::bit_cast<float>((whole + 127U) << 23);
    const std::uint32_t nan = (bits & 0x7fff'ffffU) > 0x7f80'0000U ? 0x7fc0'0000U : 0U;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(result) | nan);
}

[[nodiscard, gnu::always_inline]] inline float largest_of(const float* x, std::int64_t n) {
    float largest = x[0];
#pragma omp simd reduction(max : largest)
    for (std::int64_t i = 0; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
    return largest;
}

/// Writes exp(scale x - shift) over each x, and returns their sum. `shift` is at least the largest scale x.
[[gnu::always_inline]] inline float exponentiate(float* x, std::int64_t n, float shift, float scale = 1.0F) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = 0; i < n; ++i) {
        x[i] = exp_of_nonpositive(scale * x[i] - shift);
        sum += x[i];
    }
    return sum;
}

}  // namespace trireme::onednn
