// Where buffers begin that share one allocation: at multiples of 64 bytes, which is a cache line and the
// widest vector register. Planning and laying out ask the same functions, so that what was planned is what is
// used.
#pragma once

#include <cstdint>

#include "runtime/core/dtype.hpp"
#include "runtime/core/strong.hpp"

namespace trireme {

inline constexpr std::int64_t buffer_alignment = 64;  ///< bytes

/// The least multiple of `unit` that is not below `value`, which is not negative.
[[nodiscard]] constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/// Room that a buffer takes, the padding behind it included.
[[nodiscard]] constexpr Bytes aligned(Bytes size) { return Bytes(round_up(size.value, buffer_alignment)); }
/// The same counted in elements of a type whose size divides the alignment.
[[nodiscard]] constexpr Elements aligned(Elements count, DType type) {
    return Elements(round_up(count.value, buffer_alignment / size_of(type)));
}

}  // namespace trireme
