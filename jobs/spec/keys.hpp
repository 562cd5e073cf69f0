// The table of all job keys: one row for each, which is also a command-line flag of the same name. Keys of
// features that are not there yet stand in the table too, so that they are refused by name and not taken for
// typing errors.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::jobs {

struct KeyInfo {
    std::string_view name;      ///< "data.batch"
    std::string_view fallback;  ///< default, as text; "" where there is none or it is worked out
    std::string_view help;
    bool ready = true;  ///< false: refused with "not available yet"
};

[[nodiscard]] std::span<const KeyInfo> key_table();
/// The row of a key, or null.
[[nodiscard]] const KeyInfo* find_key(std::string_view name);
/// All names, for suggestions.
[[nodiscard]] std::vector<std::string> key_names();

}  // namespace trireme::jobs
