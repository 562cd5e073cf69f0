// A TOML file as a tree of values that know their lines. It stands between the parser, whose header only one
// file includes, and those who read model files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace trireme::jobs {

struct TomlValue;
using TomlArray = std::vector<TomlValue>;
/// In the order of their keys; keys are unique.
struct TomlTable {
    std::vector<std::pair<std::string, TomlValue>> entries;
    /// Null when there is no such key.
    [[nodiscard]] const TomlValue* find(std::string_view key) const;
};
/// Dates and times, which no model file has a use for.
struct TomlOther {};

struct TomlValue {
    std::variant<bool, std::int64_t, double, std::string, TomlArray, TomlTable, TomlOther> value;
    int line = 0;

    template <class T>
    [[nodiscard]] const T* as() const {
        return std::get_if<T>(&value);
    }
    /// As a message shows it: shortened, control characters replaced.
    [[nodiscard]] std::string str() const;
};

/// Bounds on what is parsed, so that no file can take much memory, time or stack.
inline constexpr std::size_t largest_model_file = 256 << 10;
inline constexpr int deepest_brackets = 16;  ///< arrays and inline tables inside each other
inline constexpr int most_dots = 32;         ///< dots outside strings in one line: each nests a table

/// Parses a text. Throws ConfigError naming `file` and the line where the text is not TOML, goes over a bound
/// or has a string of several lines, which is refused because model files need none.
[[nodiscard]] TomlTable parse_toml(std::string_view text, std::string_view file);

/// A text of the user in a message: at most 60 bytes, control characters as '?'.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace trireme::jobs
