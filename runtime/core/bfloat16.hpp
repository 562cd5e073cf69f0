// bf16 ("brain float"): the upper sixteen bits of an fp32 number, so the same range with 8 bits of precision
// (unit roundoff 2^-8). Reading one is exact; writing one rounds to the nearest, ties to even, as the
// processors' own instructions do, and keeps a NaN a NaN. Both are a few integer operations, which compilers
// vectorise.
#pragma once

#include <bit>
#include <cstdint>

namespace trireme {

[[nodiscard, gnu::always_inline]] constexpr float float_of_bf16(std::uint16_t value) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

[[nodiscard, gnu::always_inline]] constexpr std::uint16_t bf16_of_float(float value) {
    constexpr std::uint32_t quiet = 0x0040'0000U;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t rounded = bits + 0x7fffU + (bits >> 16 & 1U);
    const std::uint32_t chosen = (bits & 0x7fff'ffffU) > 0x7f80'0000U ? (bits | quiet) : rounded;
    return static_cast<std::uint16_t>(chosen >> 16);
}

}  // namespace trireme
