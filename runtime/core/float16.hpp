// fp16: IEEE 754's half precision, 11 bits of precision (unit roundoff 2^-11) and a range that ends at 65504.
// Reading one is exact; writing one rounds to the nearest, ties to even, as the processors' own instructions
// do: what is too large becomes infinite, what is below 2^-14 a multiple of 2^-24, and a NaN stays one. Both
// are a few operations without tables, for host and device alike; they need an environment that keeps
// subnormal fp32 numbers, which is the default of both.
#pragma once

#include <bit>
#include <cstdint>

namespace trireme {

[[nodiscard, gnu::always_inline]] constexpr float float_of_f16(std::uint16_t value) {
    constexpr float rebias = 0x1p112F;  // 2 to the power of 127 - 15: moves the exponent, subnormal or not
    const std::uint32_t magnitude = static_cast<std::uint32_t>(value & 0x7fffU) << 13;
    const std::uint32_t sign = static_cast<std::uint32_t>(value & 0x8000U) << 16;
    const auto scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * rebias);
    const std::uint32_t special = magnitude >= 0x0f80'0000U ? 0x7f80'0000U : 0U;  // infinite or NaN
    return std::bit_cast<float>(sign | scaled | special);
}

[[nodiscard, gnu::always_inline]] constexpr std::uint16_t f16_of_float(float value) {
    constexpr std::uint32_t infinite = 0x7c00U;
    constexpr std::uint32_t quiet = 0x7e00U;
    const auto bits = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = bits >> 16 & 0x8000U;
    const std::uint32_t magnitude = bits & 0x7fff'ffffU;
    // Below 2^-14: adding 1/2 leaves multiples of 2^-24 in the lowest bits, rounded by the addition.
    const std::uint32_t small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
                                std::bit_cast<std::uint32_t>(0.5F);
    // Else the exponent moves by 127 - 15, and 13 bits are rounded off; the carry may reach the exponent.
    const std::uint32_t normal = (magnitude - 0x3800'0000U + 0xfffU + (magnitude >> 13 & 1U)) >> 13;
    std::uint32_t half = magnitude < 0x3880'0000U ? small : normal;
    if (magnitude >= 0x4780'0000U) half = infinite;  // 65536
    if (magnitude > 0x7f80'0000U) half = quiet;
    return static_cast<std::uint16_t>(sign | half);
}

}  // namespace trireme
