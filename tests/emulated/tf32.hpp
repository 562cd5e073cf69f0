// How fp32 operands are rounded to TF32, in all doubles alike.
#pragma once

#include <bit>
#include <cstdint>

namespace trireme::emulated {

/// 10 bits behind the point, to the nearest, ties to even. Not a number, and infinity, stay what they are.
[[nodiscard]] inline float rounded_to_tf32(float value) {
    const auto bits = std::bit_cast<std::uint32_t>(value);
    if ((bits & 0x7f80'0000U) == 0x7f80'0000U) return value;
    return std::bit_cast<float>((bits + 0xfffU + (bits >> 13 & 1U)) & ~0x1fffU);
}

}  // namespace trireme::emulated
