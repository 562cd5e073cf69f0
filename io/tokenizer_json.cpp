// Reads a tokenizer.json into a table.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "io/tokenizer_table.hpp"
#include "runtime/core/error.hpp"

namespace trireme::io {
namespace {

using nlohmann::json;
using Table = Tokenizer::Table;

constexpr std::size_t most_added = 1024;
constexpr std::size_t longest_token = 4096;
constexpr std::size_t most_added_bytes = 16384;  ///< of all together: each is looked for in the text
constexpr int deepest_nesting = 16;              ///< a tokenizer.json has 6

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
    throw DataError(
        fmt::format("{}: {}: a tokenizer.json with a byte-level BPE model, as GPT-2's, is read", file, what));
}

/// GPT-2's way of writing bytes as printable characters: those that are printable stand for themselves, the
/// others for the code points from 256 on, in order.
std::array<std::int32_t, 512> bytes_of_characters() {
    std::array<std::int32_t, 512> bytes{};
    bytes.fill(-1);
    std::size_t next = 256;
    for (std::int32_t byte = 0; byte < 256; ++byte) {
        const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        bytes[printable ? static_cast<std::size_t>(byte) : next++] = byte;
    }
    return bytes;
}

/// The bytes that a written token stands for; false where it holds a character that stands for none.
bool bytes_of_token(const std::string& written, std::string& bytes) {
    static const std::array<std::int32_t, 512> table = bytes_of_characters();
    for (std::size_t i = 0; i < written.size();) {
        const auto lead = static_cast<unsigned char>(written[i]);
        std::size_t point = lead;
        std::size_t length = 1;
        if (lead >= 0x80) {  // all of them have two bytes in UTF-8
            if (lead < 0xC2 || lead > 0xDF || i + 1 >= written.size()) return false;
            point = (lead & 0x1FU) << 6 | (static_cast<unsigned char>(written[i + 1]) & 0x3FU);
            length = 2;
        }
        if (point >= table.size() || table[point] < 0) return false;
        bytes += static_cast<char>(table[point]);
        i += length;
    }
    return true;
}

/// Null where `object` has no such member, or null.
const json* member(const json& object, const char* name) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_member(const json& object, const char* name) {
    const json* value = member(object, name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

bool flag_member(const json& object, const char* name, bool fallback) {
    const json* value = member(object, name);
    return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

/// Everything that would give other tokens than this reader's.
void require_known_form(const json& document, const std::string& file) {
    if (member(document, "normalizer") != nullptr) refuse(file, "has a normalizer");
    const json* before = member(document, "pre_tokenizer");
    if (before == nullptr || text_member(*before, "type") != "ByteLevel")
        refuse(file, "its pre-tokenizer is not ByteLevel");
    if (flag_member(*before, "add_prefix_space", true))
        refuse(file, "its pre-tokenizer adds a space in front");
    if (!flag_member(*before, "use_regex", true))
        refuse(file, "its pre-tokenizer does not use GPT-2's pattern");
    if (const json* after = member(document, "post_processor");
        after != nullptr && text_member(*after, "type") != "ByteLevel")
        refuse(file, "has a post-processor that adds tokens");
    const json* model = member(document, "model");
    if (model == nullptr || text_member(*model, "type") != "BPE") refuse(file, "its model is not BPE");
    for (const char* name : {"dropout", "unk_token"}) {
        if (member(*model, name) != nullptr) refuse(file, fmt::format("its model has {}", name));
    }
    for (const char* name : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        if (!text_member(*model, name).empty()) refuse(file, fmt::format("its model has {}", name));
    }
    for (const char* name : {"byte_fallback", "ignore_merges"}) {
        if (flag_member(*model, name, false)) refuse(file, fmt::format("its model has {}", name));
    }
}

class TableReader {
  public:
    TableReader(const json& document, const std::string& file) : document_(document), file_(file) {}

    Table read() {
        Table table;
        const json& model = *member(document_, "model");
        read_vocabulary(model, table);
        read_added(table);
        require_whole(table);
        read_merges(model, table);
        return table;
    }

  private:
    std::int32_t id_of(const json& value, const std::string& token) const {
        if (value.is_number_integer()) {
            const auto id = value.get<std::int64_t>();
            if (id >= 0 && id < most_tokens) return static_cast<std::int32_t>(id);
        }
        refuse(file_,
               fmt::format("the number of token \"{}\" is not from 0 to {}", shown(token), most_tokens - 1));
    }

    /// A token in a message: shortened, without control characters.
    static std::string shown(const std::string& token) {
        std::string text = token.substr(0, 40);
        for (char& c : text) {
            if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F) c = '?';
        }
        return text;
    }

    void put(Table& table, std::int32_t id, std::string bytes) {
        const auto at = static_cast<std::size_t>(id);
        if (at >= table.texts.size()) {
            table.texts.resize(at + 1);
            known_.resize(at + 1, false);
        }
        if (known_[at]) refuse(file_, fmt::format("token {} is there twice", id));
        known_[at] = true;
        table.texts[at] = std::move(bytes);
    }

    void read_vocabulary(const json& model, Table& table) {
        const json* vocabulary = member(model, "vocab");
        if (vocabulary == nullptr || !vocabulary->is_object() || vocabulary->empty() ||
            static_cast<std::int64_t>(vocabulary->size()) > most_tokens)
            refuse(file_, fmt::format("its model has no vocab of 1 to {} tokens", most_tokens));
        table.of_byte.fill(-1);
        for (const auto& [token, number] : vocabulary->items()) {
            std::string bytes;
            // Added tokens may stand in the vocabulary too, as the texts that they are.
            if (token.empty() || token.size() > longest_token || !bytes_of_token(token, bytes)) bytes = token;
            const std::int32_t id = id_of(number, token);
            ids_[token] = id;
            if (bytes.size() == 1) table.of_byte[static_cast<unsigned char>(bytes[0])] = id;
            put(table, id, std::move(bytes));
        }
    }

    void read_added(Table& table) {
        const json* list = member(document_, "added_tokens");
        if (list == nullptr) return;
        if (!list->is_array() || list->size() > most_added)
            refuse(file_, fmt::format("added_tokens is no list of at most {}", most_added));
        std::size_t bytes = 0;
        for (const json& item : *list) {
            const std::string text = text_member(item, "content");
            bytes += text.size();
            if (bytes > most_added_bytes)
                refuse(file_, fmt::format("added_tokens have more than {} bytes in all", most_added_bytes));
            const json* number = member(item, "id");
            if (text.empty() || text.size() > longest_token || number == nullptr)
                refuse(file_, "an added token has no content or no id");
            for (const char* name : {"lstrip", "rstrip", "single_word"}) {
                if (flag_member(item, name, false))
                    refuse(file_, fmt::format("added token \"{}\" has {}", shown(text), name));
            }
            const std::int32_t id = id_of(*number, text);
            const bool in_vocabulary =
                static_cast<std::size_t>(id) < known_.size() && known_[static_cast<std::size_t>(id)];
            if (in_vocabulary) {
                table.texts[static_cast<std::size_t>(id)] = text;
            } else {
                put(table, id, text);
            }
            table.added.push_back({text, id});
        }
        std::stable_sort(table.added.begin(), table.added.end(),
                         [](const auto& a, const auto& b) { return a.text.size() > b.text.size(); });
    }

    void require_whole(const Table& table) {
        const auto gap = std::find(known_.begin(), known_.end(), false);
        if (gap != known_.end())
            refuse(file_,
                   fmt::format("has {} tokens, but none of number {}", known_.size(), gap - known_.begin()));
        const auto byte = std::find(table.of_byte.begin(), table.of_byte.end(), -1);
        if (byte != table.of_byte.end())
            refuse(file_, fmt::format("has no token for the byte {}", byte - table.of_byte.begin()));
    }

    void read_merges(const json& model, Table& table) {
        const json* merges = member(model, "merges");
        if (merges == nullptr || !merges->is_array() ||
            static_cast<std::int64_t>(merges->size()) > most_tokens)
            refuse(file_, fmt::format("its model has no merges, at most {}", most_tokens));
        std::int32_t rank = 0;
        for (const json& item : *merges) {
            const auto [left, right] = pair_of(item, rank);
            const auto found = ids_.find(left + right);
            const auto first = ids_.find(left);
            const auto second = ids_.find(right);
            if (found == ids_.end() || first == ids_.end() || second == ids_.end())
                refuse(file_, fmt::format("merge {} (\"{}\" and \"{}\") is not of tokens that there are",
                                          rank, shown(left), shown(right)));
            table.merges.try_emplace(Table::pair_key(first->second, second->second),
                                     Table::Merge{rank, found->second});
            ++rank;
        }
    }

    /// "a b" in older files, ["a", "b"] in newer ones.
    std::pair<std::string, std::string> pair_of(const json& item, std::int32_t rank) const {
        if (item.is_array() && item.size() == 2 && item[0].is_string() && item[1].is_string())
            return {item[0].get<std::string>(), item[1].get<std::string>()};
        const std::string text = item.is_string() ? item.get<std::string>() : "";
        const std::size_t space = text.find(' ');
        if (space == std::string::npos || space == 0 || space + 1 == text.size())
            refuse(file_, fmt::format("merge {} is no pair", rank));
        return {text.substr(0, space), text.substr(space + 1)};
    }

    const json& document_;
    const std::string& file_;
    std::unordered_map<std::string, std::int32_t> ids_;
    std::vector<bool> known_;
};

}  // namespace

Tokenizer::Table Tokenizer::Table::from_json(std::string_view text, const std::string& file) {
    // A document of brackets alone would take a hundred times its size in memory.
    const auto shallow = [&](int depth, json::parse_event_t, const json&) {
        if (depth > deepest_nesting)
            refuse(file, fmt::format("is nested deeper than {} levels", deepest_nesting));
        return true;
    };
    const json document = json::parse(text, shallow, false);
    if (document.is_discarded() || !document.is_object()) refuse(file, "is not a JSON object");
    require_known_form(document, file);
    return TableReader(document, file).read();
}

}  // namespace trireme::io
