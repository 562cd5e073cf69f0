// Where buffers begin that share one allocation: at multiples of 64 bytes, which is a cache line and the
// widest vector register. Planning and laying out ask the same functions, so that what was planned is what is
// used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.hpp"
#include "runtime/core/strong.hpp"

namespace trireme {

inline constexpr std::int64_t buffer_alignment = 64;  ///< bytes
/// Where CUDA's libraries want their workspaces to begin. Buffers do not: the rest is reserved with one.
inline constexpr std::int64_t workspace_alignment = 256;
inline constexpr std::int64_t workspace_reserve = workspace_alignment - buffer_alignment;

/// The least multiple of `unit` that is not below `value`, which is not negative.
[[nodiscard]] constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
    return (value + unit - 1) / unit * unit;
}

/// The first multiple of `unit` from a place on.
[[nodiscard]] inline std::byte* aligned_up(std::byte* at, std::int64_t unit) {
    const auto address = static_cast<std::int64_t>(reinterpret_cast<std::uintptr_t>(at));
    return at + (round_up(address, unit) - address);
}

/// Room that a buffer takes, the padding behind it included.
[[nodiscard]] constexpr Bytes aligned(Bytes size) { return Bytes(round_up(size.value, buffer_alignment)); }
/// The same counted in elements of a type whose size divides the alignment.
[[nodiscard]] constexpr Elements aligned(Elements count, DType type) {
    return Elements(round_up(count.value, buffer_alignment / size_of(type)));
}

}  // namespace trireme
