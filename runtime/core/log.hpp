// Logging to standard error (results go to standard output), through spdlog. Lines carry the rank once it is
// known.
#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

namespace trireme::log {

enum class Level { debug, info, warn, error, off };

/// Sets the least level that is written; the start value is info, or what TRIREME_LOG says (debug, info,
/// warn, ...).
void set_level(Level level);
/// Sets the label of this process, such as "rank 3". Empty: none.
void set_label(std::string_view label);
void write(Level level, std::string_view message);

template <class... Args>
void debug(fmt::format_string<Args...> f, Args&&... args) {
    write(Level::debug, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void info(fmt::format_string<Args...> f, Args&&... args) {
    write(Level::info, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void warn(fmt::format_string<Args...> f, Args&&... args) {
    write(Level::warn, fmt::format(f, std::forward<Args>(args)...));
}
template <class... Args>
void error(fmt::format_string<Args...> f, Args&&... args) {
    write(Level::error, fmt::format(f, std::forward<Args>(args)...));
}

}  // namespace trireme::log
