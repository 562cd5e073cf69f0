// Small text helpers for messages and tables.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/strong.hpp"

namespace trireme {

/// "1.5 MiB", "312 B".
[[nodiscard]] std::string human_bytes(Bytes bytes);
/// The nearest of `known` to `word` by edit distance, or "" when none is near enough to be meant.
[[nodiscard]] std::string nearest(std::string_view word, std::span<const std::string> known);
/// " (did you mean X?)", or "".
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string> known);
/// Pieces of `text` between `separator`s; empty pieces kept. "" gives no piece.
[[nodiscard]] std::vector<std::string> split(std::string_view text, char separator);
[[nodiscard]] std::string_view trim(std::string_view text);

}  // namespace trireme
