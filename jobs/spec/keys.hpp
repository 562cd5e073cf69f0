// The table of all job keys: one row for each, which is also a command-line flag of the same name. Keys of
// features that are not there yet stand in the table too, so that they are refused by name and not taken for
// typing errors. Parameter groups are the one pattern among keys: optimizer.GROUP.match, .lr, .weight_decay.
#pragma once

#include <optional>
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
/// A key of parameter groups: the last part of optimizer.GROUP.KEY.
struct GroupKeyInfo {
    std::string_view name;
    std::string_view help;
};
[[nodiscard]] std::span<const GroupKeyInfo> group_key_table();
struct GroupKey {
    std::string_view group;
    std::string_view key;
};
/// The parts of optimizer.GROUP.KEY; empty for any other name. GROUP is letters, digits, _ and -.
[[nodiscard]] std::optional<GroupKey> find_group_key(std::string_view name);

/// The names that an unknown `name` may have meant: all keys, and in a group that group's.
[[nodiscard]] std::vector<std::string> names_near(std::string_view name);
/// All names, for suggestions.
[[nodiscard]] std::vector<std::string> key_names();

}  // namespace trireme::jobs
