#include "io/tokenizer.hpp"

#include <algorithm>
#include <queue>

#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "io/posix_file.hpp"
#include "io/shard_format.hpp"
#include "io/tokenizer_table.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using Table = Tokenizer::Table;

enum class Kind { letter, number, space, other, end };

/// A character of a text: what it is, and where the next one begins. Bytes that are no UTF-8 are `other`.
struct Character {
    Kind kind = Kind::end;
    std::size_t end = 0;
};

Character character_at(std::string_view text, std::size_t at) {
    if (at >= text.size()) return {Kind::end, at};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data()) + at;
    // No character is longer than four bytes; a short piece keeps the index within 32 bits.
    const auto length = static_cast<std::int32_t>(std::min<std::size_t>(text.size() - at, 4));
    std::int32_t used = 0;
    UChar32 point = 0;
    U8_NEXT(bytes, used, length, point);
    const std::size_t end = at + static_cast<std::size_t>(used);
    if (point < 0) return {Kind::other, at + 1};
    if ((U_GET_GC_MASK(point) & U_GC_L_MASK) != 0) return {Kind::letter, end};
    if ((U_GET_GC_MASK(point) & U_GC_N_MASK) != 0) return {Kind::number, end};
    return {u_isUWhiteSpace(point) ? Kind::space : Kind::other, end};
}

/// 's, 't, 're, 've, 'm, 'll and 'd; 0 where none stands there.
std::size_t contraction_at(std::string_view text, std::size_t at) {
    for (const std::string_view ending : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"}) {
        if (text.substr(at).starts_with(ending)) return ending.size();
    }
    return 0;
}

/// The end of the piece that begins at `at`, by GPT-2's pattern:
/// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
std::size_t piece_end(std::string_view text, std::size_t at) {
    if (const std::size_t length = contraction_at(text, at); length > 0) return at + length;
    Character next = character_at(text, at);
    if (text[at] == ' ') {
        const Character behind = character_at(text, next.end);
        if (behind.kind != Kind::space && behind.kind != Kind::end) next = behind;
    }
    const Kind kind = next.kind;
    std::size_t end = next.end;
    std::size_t before = at;  // where the last character of the run begins
    for (Character more = character_at(text, end); more.kind == kind; more = character_at(text, end)) {
        before = end;
        end = more.end;
    }
    // White space leaves its last character to the word behind it, unless it is the only one.
    const bool word_follows = kind == Kind::space && end < text.size();
    return word_follows && before > at ? before : end;
}

/// The merges of one piece: neighbours with the lowest rank first, of equal ones the leftmost.
class PieceMerger {
  public:
    PieceMerger(const Table& table, std::string_view piece) {
        for (const char c : piece) {
            const auto i = static_cast<std::int32_t>(symbols_.size());
            symbols_.push_back({table.of_byte[static_cast<unsigned char>(c)], i - 1, i + 1});
        }
        symbols_.back().next = -1;
        for (std::size_t i = 0; i + 1 < symbols_.size(); ++i) offer(table, static_cast<std::int32_t>(i));
        while (!candidates_.empty()) {
            const Candidate best = candidates_.top();
            candidates_.pop();
            apply(table, best);
        }
    }

    void append_to(std::vector<std::int32_t>& tokens) const {
        for (std::int32_t i = 0; i >= 0; i = symbols_[static_cast<std::size_t>(i)].next)
            tokens.push_back(symbols_[static_cast<std::size_t>(i)].token);
    }

  private:
    struct Symbol {
        std::int32_t token;
        std::int32_t previous;
        std::int32_t next;  ///< -1 at the end; -2 where it was merged into its left neighbour
    };
    struct Candidate {
        std::int32_t rank;
        std::int32_t left;
        std::int32_t left_token;  ///< as they were when it was offered
        std::int32_t right_token;
        std::int32_t merged;
        bool operator<(const Candidate& other) const {
            return rank != other.rank ? rank > other.rank : left > other.left;
        }
    };

    Symbol& at(std::int32_t i) { return symbols_[static_cast<std::size_t>(i)]; }

    void offer(const Table& table, std::int32_t left) {
        if (left < 0 || at(left).next < 0) return;
        const std::int32_t right_token = at(at(left).next).token;
        const auto found = table.merges.find(Table::pair_key(at(left).token, right_token));
        if (found == table.merges.end()) return;
        candidates_.push({found->second.rank, left, at(left).token, right_token, found->second.token});
    }

    void apply(const Table& table, const Candidate& candidate) {
        Symbol& left = at(candidate.left);
        if (left.next < 0 || left.token != candidate.left_token ||
            at(left.next).token != candidate.right_token)
            return;  // one of the two was merged with another meanwhile
        Symbol& right = at(left.next);
        left.token = candidate.merged;
        left.next = right.next;
        right.next = -2;
        if (left.next >= 0) at(left.next).previous = candidate.left;
        offer(table, left.previous);
        offer(table, candidate.left);
    }

    std::vector<Symbol> symbols_;
    std::priority_queue<Candidate> candidates_;
};

/// Cuts a text into pieces and encodes each. Words come again and again: their tokens are kept, within
/// bounds.
class WordEncoder {
  public:
    WordEncoder(const Table& table, std::vector<std::int32_t>& tokens) : table_(table), tokens_(tokens) {}

    void encode(std::string_view text) {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(piece_end(text, at), at + longest_piece);
            encode_piece(text.substr(at, end - at));
            at = end;
        }
    }

  private:
    static constexpr std::size_t longest_kept = 64;
    static constexpr std::size_t most_kept = std::size_t{1} << 17;
    /// Symbols are numbered in 32 bits; a longer piece is cut.
    static constexpr std::size_t longest_piece = std::size_t{1} << 30;

    void encode_piece(std::string_view piece) {
        if (piece.size() > longest_kept) {
            PieceMerger(table_, piece).append_to(tokens_);
            return;
        }
        std::string word(piece);
        auto found = kept_.find(word);
        if (found == kept_.end()) {
            if (kept_.size() >= most_kept) kept_.clear();
            std::vector<std::int32_t> own;
            PieceMerger(table_, piece).append_to(own);
            found = kept_.emplace(std::move(word), std::move(own)).first;
        }
        tokens_.insert(tokens_.end(), found->second.begin(), found->second.end());
    }

    const Table& table_;
    std::vector<std::int32_t>& tokens_;
    std::unordered_map<std::string, std::vector<std::int32_t>> kept_;
};

/// Where the next added token stands in a text. The place of each is kept until it is passed, so that a text
/// is gone through once for each of them.
class AddedFinder {
  public:
    AddedFinder(const Table& table, std::string_view text)
        : table_(table), text_(text), places_(table.added.size(), 0) {
        for (std::size_t i = 0; i < places_.size(); ++i) places_[i] = find(i, 0);
    }

    /// The first one from `at` on, the longest of those that begin there; none: null, and the text's end.
    std::pair<const Table::Added*, std::size_t> next(std::size_t at) {
        std::pair<const Table::Added*, std::size_t> first{nullptr, text_.size()};
        for (std::size_t i = 0; i < places_.size(); ++i) {
            if (places_[i] < at) places_[i] = find(i, at);
            if (places_[i] < first.second) first = {&table_.added[i], places_[i]};
        }
        return first;
    }

  private:
    [[nodiscard]] std::size_t find(std::size_t i, std::size_t at) const {
        return std::min(text_.find(table_.added[i].text, at), text_.size());
    }

    const Table& table_;
    std::string_view text_;
    std::vector<std::size_t> places_;
};

}  // namespace

Tokenizer Tokenizer::bytes() { return {}; }

Tokenizer Tokenizer::from_json(std::string_view json, const std::string& file) {
    Tokenizer tokenizer;
    tokenizer.table_ = std::make_shared<const Table>(Table::from_json(json, file));
    return tokenizer;
}

std::int64_t Tokenizer::vocabulary() const {
    return table_ == nullptr ? 256 : static_cast<std::int64_t>(table_->texts.size());
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
    std::vector<std::int32_t> tokens;
    if (table_ == nullptr) {
        tokens.reserve(text.size());
        for (const char c : text) tokens.push_back(static_cast<unsigned char>(c));
        return tokens;
    }
    WordEncoder words(*table_, tokens);
    AddedFinder finder(*table_, text);
    for (std::size_t at = 0; at < text.size();) {
        const auto [added, where] = finder.next(at);
        words.encode(text.substr(at, where - at));
        if (added == nullptr) break;
        tokens.push_back(added->token);
        at = where + added->text.size();
    }
    return tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
    std::string text;
    for (const std::int32_t token : tokens) {
        if (token < 0 || token >= vocabulary()) continue;
        if (table_ == nullptr) {
            text += static_cast<char>(token);
        } else {
            text += table_->texts[static_cast<std::size_t>(token)];
        }
    }
    return text;
}

Tokenizer tokenizer_of(const DataSetInfo& set) {
    ensure(set.is_stream(), "a stream of tokens has a tokenizer");
    if (set.tokenizer == "bytes") return Tokenizer::bytes();
    const std::filesystem::path path = set.folder / tokenizer_file_name;
    const std::string json = read_text_file(path, largest_tokenizer_file);
    if (hex64(xxh3(json)) != set.tokenizer_xxh3) {
        throw DataError(
            fmt::format("{}: is not the tokenizer that {} was made with (checksum {} stored, {} found): "
                        "copy the right file, or import again",
                        path.string(), set.folder.string(), set.tokenizer_xxh3, hex64(xxh3(json))));
    }
    Tokenizer tokenizer = Tokenizer::from_json(json, path.string());
    if (tokenizer.vocabulary() != set.classes) {
        throw DataError(fmt::format("{}: has {} tokens, but the shards say {}: import again", path.string(),
                                    tokenizer.vocabulary(), set.classes));
    }
    return tokenizer;
}

}  // namespace trireme::io
