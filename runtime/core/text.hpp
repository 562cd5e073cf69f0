// Small text helpers for messages and tables.
#pragma once

#include <cstdint>
#include <optional>
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
/// The whole text as a number, which nothing stands before or behind; empty where it is none, or does not
/// fit.
[[nodiscard]] std::optional<std::int64_t> parse_integer(std::string_view text);
/// The same of finite numbers such as -1.5e3.
[[nodiscard]] std::optional<double> parse_number(std::string_view text);

}  // namespace trireme
