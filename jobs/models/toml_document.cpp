#include "jobs/models/toml_document.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::jobs {

/// Thrown where toml++ finds its own preconditions broken, which release 3.3 lets some malformed texts do
/// ("[[[1]]]"): left alone it would end the process, or under NDEBUG go on with undefined behaviour.
struct ParserGaveUp {};

/// A function of its own, because toml++ also checks in noexcept functions, where nothing may throw.
[[noreturn]] static void parser_gave_up() { throw ParserGaveUp{}; }

}  // namespace trireme::jobs

#undef NDEBUG
#define TOML_ASSERT(expr) (static_cast<bool>(expr) ? void() : trireme::jobs::parser_gave_up())
#include <toml++/toml.h>

namespace trireme::jobs {
namespace {

/// Counts what nests, line by line, before the parser recurses into it, and finds what the parser cannot
/// take.
class BoundsScan {
  public:
    BoundsScan(std::string_view text, std::string_view file) : text_(text), file_(file) {}

    void run() {
        constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
        for (at_ = text_.starts_with(byte_order_mark) ? 3 : 0; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') {
                ++line_;
                dots_ = 0;
            } else if (c == '#') {
                at_ = std::min(text_.find('\n', at_), text_.size()) - 1;
            } else if (c == '"' || c == '\'') {
                skip_string(c);
            } else if (static_cast<unsigned char>(c) >= 0x80) {
                // toml++ 3.3 takes some of these for impossible when it looks for blanks.
                refuse("letters outside ASCII stand in quotes and comments only");
            } else if (c == '.') {
                if (++dots_ > most_dots) refuse(fmt::format("more than {} dots in one line", most_dots));
            } else if (c == '[' || c == '{') {
                if (c == '[' && depth_ == 0 && begins_line()) check_header();
                if (++depth_ > deepest_brackets)
                    refuse(fmt::format("more than {} brackets inside each other", deepest_brackets));
            } else if ((c == ']' || c == '}') && depth_ > 0) {
                --depth_;
            }
        }
    }

  private:
    /// To the closing quote, or to the end of the line where the parser will complain.
    void skip_string(char quote) {
        if (text_.substr(at_, 3) == std::string(3, quote))
            refuse("strings of several lines are not used in model files: write it in one line");
        for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
            if (text_[at_] == '\n') {
                --at_;
                return;
            }
            if (quote == '"' && text_[at_] == '\\') ++at_;
        }
    }
    [[nodiscard]] bool begins_line() const {
        const std::size_t before = text_.substr(0, at_).find_last_not_of(" \t");
        return before == std::string_view::npos || text_[before] == '\n';
    }
    /// What stands after [ or [[ must begin a key: toml++ 3.3 relies on it without a message of its own.
    void check_header() const {
        const std::size_t brackets = text_.substr(at_, 2) == "[[" ? 2 : 1;
        const std::size_t key = text_.find_first_not_of(" \t", at_ + brackets);
        const unsigned char c = key == std::string_view::npos ? ' ' : static_cast<unsigned char>(text_[key]);
        if (std::isalnum(c) == 0 && c != '_' && c != '-' && c != '"' && c != '\'')
            refuse("is not TOML: [ at the start of a line must be followed by a name, such as in [[layer]]");
    }
    [[noreturn]] void refuse(const std::string& rule) const {
        throw ConfigError(fmt::format("{}:{}: {}", file_, line_, rule));
    }

    std::string_view text_;
    std::string_view file_;
    std::size_t at_ = 0;
    int line_ = 1;
    int dots_ = 0;
    int depth_ = 0;
};

TomlTable converted(const toml::table& table);

int line_of(const toml::source_region& region) { return static_cast<int>(region.begin.line); }

TomlValue converted(const toml::node& node) {
    TomlValue value{TomlOther{}, line_of(node.source())};
    if (const auto* boolean = node.as_boolean()) value.value = boolean->get();
    if (const auto* integer = node.as_integer()) value.value = integer->get();
    if (const auto* number = node.as_floating_point()) value.value = number->get();
    if (const auto* text = node.as_string()) value.value = text->get();
    if (const auto* table = node.as_table()) value.value = converted(*table);
    if (const auto* array = node.as_array()) {
        TomlArray elements;
        for (const toml::node& element : *array) elements.push_back(converted(element));
        value.value = std::move(elements);
    }
    return value;
}

TomlTable converted(const toml::table& table) {
    TomlTable result;
    for (const auto& [key, node] : table) {
        TomlValue value = converted(node);
        if (key.source().begin) value.line = line_of(key.source());
        result.entries.emplace_back(std::string(key.str()), std::move(value));
    }
    return result;
}

}  // namespace

std::string shown(std::string_view text) {
    constexpr std::size_t longest = 60;
    std::string result(text.substr(0, longest));
    std::replace_if(
        result.begin(), result.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
    return text.size() > longest ? result + "..." : result;
}

const TomlValue* TomlTable::find(std::string_view key) const {
    const auto found =
        std::find_if(entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == key; });
    return found == entries.end() ? nullptr : &found->second;
}

std::string TomlValue::str() const {
    if (const auto* boolean = as<bool>()) return *boolean ? "true" : "false";
    if (const auto* integer = as<std::int64_t>()) return fmt::format("{}", *integer);
    if (const auto* number = as<double>()) return fmt::format("{}", *number);
    if (const auto* text = as<std::string>()) return shown(*text);
    if (as<TomlTable>() != nullptr) return "a table";
    const auto* array = as<TomlArray>();
    if (array == nullptr) return "a date or time";
    constexpr std::size_t most = 8;
    std::string result = "[";
    for (std::size_t i = 0; i < std::min(most, array->size()); ++i)
        result += (i == 0 ? "" : ", ") + ((*array)[i].as<TomlArray>() ? "[...]" : (*array)[i].str());
    return result + (array->size() > most ? ", ...]" : "]");
}

TomlTable parse_toml(std::string_view text, std::string_view file) {
    if (text.size() > largest_model_file) {
        throw ConfigError(
            fmt::format("{}: larger than {} KiB: this is no model file", file, largest_model_file >> 10));
    }
    BoundsScan(text, file).run();
    try {
        return converted(toml::parse(text, file));
    } catch (const toml::parse_error& error) {
        throw ConfigError(
            fmt::format("{}:{}: is not TOML: {}", file, line_of(error.source()), error.description()));
    } catch (const ParserGaveUp&) {
        throw ConfigError(
            fmt::format("{}: is not TOML: look for brackets or quotes that are out of place", file));
    }
}

}  // namespace trireme::jobs
