// The table of a byte-level BPE tokenizer, and how it is read. Only the tokenizer includes this.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/tokenizer.hpp"

namespace trireme::io {

struct Tokenizer::Table {
    /// Two neighbours that become one.
    struct Merge {
        std::int32_t rank = 0;  ///< lower ranks first
        std::int32_t token = 0;
    };
    /// A text that is a token wherever it stands, before anything else is looked at.
    struct Added {
        std::string text;
        std::int32_t token = 0;
    };

    std::vector<std::string> texts;  ///< the bytes of each token
    std::array<std::int32_t, 256> of_byte{};
    std::unordered_map<std::uint64_t, Merge> merges;  ///< by pair_key
    std::vector<Added> added;                         ///< longest first

    static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
        return static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 |
               static_cast<std::uint32_t>(right);
    }
    /// Throws DataError.
    static Table from_json(std::string_view json, const std::string& file);
};

}  // namespace trireme::io
