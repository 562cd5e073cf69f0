// The geometry of checkpoint slices. A slice is the set of elements of a global tensor that lie in a box and,
// counted row-major inside the box, in a range. Two slices of one tensor meet in stretches of elements that
// are next to each other in both; everything that reads or checks slices walks those.
#pragma once

#include <functional>
#include <string>

#include "io/checkpoint/checkpoint.hpp"

namespace trireme::io {

inline constexpr int max_tensor_rank = 16;

/// Elements of a slice.
[[nodiscard]] std::int64_t slice_elements(const SliceSpec& spec);
/// Bytes of a slice.
[[nodiscard]] std::int64_t slice_bytes(const SliceSpec& spec);
/// Empty when the box lies in the tensor and the range in the box; otherwise what is wrong. Guards against
/// overflow, so it may be asked of a slice that a file claims.
[[nodiscard]] std::string slice_problem(const SliceSpec& spec);

/// Elements [a, a + count) of slice A are elements [b, b + count) of slice B, counted from the beginning of
/// each slice's data.
struct SharedStretch {
    std::int64_t a = 0;
    std::int64_t b = 0;
    std::int64_t count = 0;
};

/// Calls `visit` for every stretch that both slices have, in A's order. Both must be of one tensor and valid.
/// Axes that both boxes take whole are joined, so that slices of a flat range cost one stretch.
void for_shared_stretches(const SliceSpec& a, const SliceSpec& b,
                          const std::function<void(const SharedStretch&)>& visit);

}  // namespace trireme::io
