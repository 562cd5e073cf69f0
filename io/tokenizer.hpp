// Text as numbers and back: bytes as they are, or byte-level byte-pair encoding (Sennrich and others, "Neural
// Machine Translation of Rare Words with Subword Units", 2016; on bytes as in GPT-2, 2019) from a
// tokenizer.json of the Hugging Face tokenizers library.
//
// Of that format the model BPE is read, with the pre-tokenizer ByteLevel (GPT-2's pattern, no prefix space)
// and added tokens; what would change the tokens and is not known here is refused by name. Files are data:
// sizes are bounded, and encoding takes n log n time for whatever text, and n times the bytes of all added
// tokens (16 KiB at most) where those nearly match everywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/data_set.hpp"

namespace trireme::io {

/// Larger files are refused, and tables with more tokens.
inline constexpr std::int64_t largest_tokenizer_file = std::int64_t{64} << 20;
inline constexpr std::int64_t most_tokens = std::int64_t{1} << 20;

class Tokenizer {
  public:
    /// The tables of a byte-pair encoding (io/tokenizer_table.hpp).
    struct Table;

    /// 256 tokens, one a byte.
    static Tokenizer bytes();
    /// Throws DataError naming `file`, what is wrong and what to do.
    static Tokenizer from_json(std::string_view json, const std::string& file);

    [[nodiscard]] std::int64_t vocabulary() const;
    /// "bytes" or "bpe".
    [[nodiscard]] std::string kind() const { return table_ == nullptr ? "bytes" : "bpe"; }
    /// Any bytes can be encoded, and decode gives them back.
    [[nodiscard]] std::vector<std::int32_t> encode(std::string_view text) const;
    /// Tokens outside the vocabulary give nothing.
    [[nodiscard]] std::string decode(std::span<const std::int32_t> tokens) const;

  private:
    std::shared_ptr<const Table> table_;  ///< null for bytes; never changed once made
};

/// The tokenizer that made a stream. Throws DataError where its file is missing or another one.
[[nodiscard]] Tokenizer tokenizer_of(const DataSetInfo& set);

}  // namespace trireme::io
