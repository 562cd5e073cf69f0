// What a call said when it failed, and small files: for tests of messages.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::test {

inline constexpr std::string_view nothing_thrown = "nothing was thrown";

/// The message of the error of class `E` that `call` throws; others pass.
template <class E, class Call>
std::string message_of(const Call& call) {
    try {
        static_cast<void>(call());
    } catch (const E& error) {
        return error.what();
    }
    return std::string(nothing_thrown);
}

/// "DataError: ..." of any error of ours.
template <class Call>
std::string error_of(const Call& call) {
    try {
        static_cast<void>(call());
    } catch (const Error& error) {
        return fmt::format("{}: {}", name_of(error.error_class()), error.what());
    }
    return std::string(nothing_thrown);
}

/// Writes a file anew, with the folders above it.
inline void put(const std::filesystem::path& path, const std::string& bytes) {
    if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::string text_of(const std::filesystem::path& file) {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
}

}  // namespace trireme::test
