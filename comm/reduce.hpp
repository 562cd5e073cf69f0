// Element-wise sums of messages.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.hpp"

namespace trireme::comm {

/// into[i] := into[i] + from[i] for `count` elements of `dtype`; the ranges do not overlap. Throws
/// InternalError for types that cannot be summed on the wire (all but f32 and f64).
void add_into(std::byte* into, const std::byte* from, std::int64_t count, DType dtype);

}  // namespace trireme::comm
