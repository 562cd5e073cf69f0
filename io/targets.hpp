// What a target may be: the one rule that importers and readers share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "io/data_set.hpp"

namespace trireme::io {

/// What is wrong with one stored target of the set ("label 11 is outside 0 to 9"); empty when nothing is. A
/// class must be one of the set's, elements of a 0/1 vector 0 or 1, and floats finite.
[[nodiscard]] std::string wrong_target(const DataSetInfo& set, std::span<const std::byte> target);

/// The class that a stored target is.
[[nodiscard]] std::int32_t class_of(std::span<const std::byte> target);
void store_class(std::int32_t label, std::span<std::byte> target);

/// The token that a stored one of 1 or 2 bytes is.
[[nodiscard]] std::int32_t token_of(std::span<const std::byte> token);
/// Writes `count` stored tokens as they are served, i32.
void decode_tokens(const std::byte* stored, DType dtype, std::int64_t count, std::int32_t* out);

/// Writes a stored vector as fp32.
void decode_vector(const DataSetInfo& set, std::span<const std::byte> target, float* out);

}  // namespace trireme::io
