// A text file as a stream of tokens. Nothing is mixed: the text is cut into splits by place, each split into
// blocks of a power of two of tokens, and windows of the length that a job asks for are cut out of the blocks
// when they are served (with_windows, window_shift).
#pragma once

#include "io/import/import.hpp"

namespace trireme::io {

struct TextSource {
    std::filesystem::path file;       ///< plain or gzipped
    std::filesystem::path tokenizer;  ///< tokenizer.json; empty: bytes
    std::string licence;
};

/// Tokens of a block: as many as give a stream about 64 of them, a power of two from 16,384 (of which windows
/// of a few hundred waste little) to 262,144.
[[nodiscard]] std::int64_t block_tokens_for(std::int64_t tokens);

/// Reads, encodes and writes. `given` as split makes all of it training text. All members of the team call it
/// alike; each encodes the whole text. Throws ConfigError, DataError.
DataSetInfo import_text(const TextSource& source, const std::filesystem::path& out,
                        const ImportOptions& options, const ImportTeam& team = ImportTeam::alone());

}  // namespace trireme::io
