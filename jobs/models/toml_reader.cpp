#include "jobs/models/toml_reader.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {

void FileMistakes::add(int line, const Place& place, const std::string& subject, const std::string& rule) {
    if (!told_.insert(place).second || full()) return;
    list_.push_back(
        {line, fmt::format("{}:{}: {}{}{}", file_, line, subject, subject.empty() ? "" : ": ", rule)});
}

void FileMistakes::raise() const {
    if (list_.empty()) return;
    if (list_.size() == 1) throw ConfigError(list_.front().text);
    std::vector<Mistake> sorted = list_;
    std::stable_sort(sorted.begin(), sorted.end(),
                     [](const Mistake& a, const Mistake& b) { return a.line < b.line; });
    std::string text = fmt::format("{} mistakes{}:", sorted.size(), full() ? " and perhaps more" : "");
    for (const Mistake& mistake : sorted) text += "\n  " + mistake.text;
    throw ConfigError(text);
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
    constexpr std::size_t longest_word = 64;
    constexpr std::size_t most_listed = 24;
    if (word.size() <= longest_word) {
        const std::string near = did_you_mean(word, known);
        if (!near.empty()) return near;
    }
    if (known.empty()) return "";
    const std::size_t listed = std::min(known.size(), most_listed);
    return fmt::format("; there is: {}{}",
                       fmt::join(known.begin(), known.begin() + static_cast<std::ptrdiff_t>(listed), ", "),
                       listed < known.size() ? ", ..." : "");
}

std::string TomlReader::subject_of(std::string_view key) const {
    const TomlValue* value = table_.find(key);
    const std::string setting = key.empty()        ? ""
                                : value == nullptr ? shown(key)
                                                   : fmt::format("{} = {}", shown(key), value->str());
    return subject_.empty() || setting.empty() ? subject_ + setting : subject_ + ": " + setting;
}

int TomlReader::line_of(std::string_view key) const {
    const TomlValue* value = table_.find(key);
    return value == nullptr ? line_ : value->line;
}

void TomlReader::refuse(std::string_view key, const std::string& rule) {
    ok_ = false;
    mistakes_.add(line_of(key), {&table_, std::string(key)}, subject_of(key), rule);
}

void TomlReader::missing(std::string_view key, const std::string& rule) {
    if (table_.find(key) == nullptr) refuse(key, "is missing: " + rule);
}

const TomlValue* TomlReader::find(std::string_view key) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) known_.emplace_back(key);
    return table_.find(key);
}

std::optional<std::string> TomlReader::text(std::string_view key) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* text = value->as<std::string>()) return *text;
    refuse(key, "must be a text in quotes");
    return std::nullopt;
}

std::optional<std::int64_t> TomlReader::maybe_integer(std::string_view key, std::int64_t least,
                                                      std::int64_t most) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    const auto* number = value->as<std::int64_t>();
    if (number != nullptr && *number >= least && *number <= most) return *number;
    refuse(key, fmt::format("must be a whole number from {} to {}", least, most));
    return std::nullopt;
}

std::int64_t TomlReader::integer(std::string_view key, std::int64_t fallback, std::int64_t least,
                                 std::int64_t most) {
    return maybe_integer(key, least, most).value_or(fallback);
}

double TomlReader::number(std::string_view key, double fallback, double least, double most) {
    const TomlValue* value = find(key);
    if (value == nullptr) return fallback;
    std::optional<double> number;
    if (const auto* real = value->as<double>()) number = *real;
    if (const auto* whole = value->as<std::int64_t>()) number = static_cast<double>(*whole);
    if (number && *number >= least && *number <= most) return *number;
    refuse(key, fmt::format("must be a number from {} to {}", least, most));
    return fallback;
}

bool TomlReader::flag(std::string_view key, bool fallback) {
    const TomlValue* value = find(key);
    if (value == nullptr) return fallback;
    if (const auto* flag = value->as<bool>()) return *flag;
    refuse(key, "must be true or false");
    return fallback;
}

TomlReader::Pair TomlReader::pair(std::string_view key, const Pair& fallback, std::int64_t least) {
    constexpr std::int64_t most = 1 << 20;
    const TomlValue* value = find(key);
    if (value == nullptr) return fallback;
    const auto fits = [&](const TomlValue& v) {
        const auto* n = v.as<std::int64_t>();
        return n != nullptr && *n >= least && *n <= most;
    };
    if (fits(*value)) return {*value->as<std::int64_t>(), *value->as<std::int64_t>()};
    const auto* array = value->as<TomlArray>();
    if (array != nullptr && array->size() == 2 && std::all_of(array->begin(), array->end(), fits))
        return {*(*array)[0].as<std::int64_t>(), *(*array)[1].as<std::int64_t>()};
    refuse(key, fmt::format("must be a whole number from {} to {}, or two for [height, width]", least, most));
    return fallback;
}

TomlReader::Pair TomlReader::needed_pair(std::string_view key, std::int64_t least) {
    missing(key, "give a whole number, or two for [height, width]");
    return pair(key, {least, least}, least);
}

std::optional<std::vector<std::int64_t>> TomlReader::maybe_integers(std::string_view key,
                                                                    std::size_t most_elements) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    const auto* array = value->as<TomlArray>();
    constexpr std::int64_t most = std::int64_t{1} << 30;
    const auto fits = [](const TomlValue& v) {
        const auto* n = v.as<std::int64_t>();
        return n != nullptr && *n >= 1 && *n <= most;
    };
    if (array == nullptr || array->empty() || array->size() > most_elements ||
        !std::all_of(array->begin(), array->end(), fits)) {
        refuse(key, fmt::format("must be a list of 1 to {} whole numbers of at least 1, such as [32, 32, 3]",
                                most_elements));
        return std::nullopt;
    }
    std::vector<std::int64_t> numbers;
    for (const TomlValue& element : *array) numbers.push_back(*element.as<std::int64_t>());
    return numbers;
}

std::optional<std::vector<std::string>> TomlReader::maybe_texts(std::string_view key,
                                                                std::size_t most_elements) {
    const TomlValue* value = find(key);
    if (value == nullptr) return std::nullopt;
    if (const auto* one = value->as<std::string>()) return std::vector<std::string>{*one};
    const auto* array = value->as<TomlArray>();
    const auto fits = [](const TomlValue& v) { return v.as<std::string>() != nullptr; };
    if (array == nullptr || array->empty() || array->size() > most_elements ||
        !std::all_of(array->begin(), array->end(), fits)) {
        refuse(key, most_elements == 1 ? "must be one name in quotes"
                                       : fmt::format("must be a name in quotes, or a list of 1 to {} of them",
                                                     most_elements));
        return std::nullopt;
    }
    std::vector<std::string> texts;
    for (const TomlValue& element : *array) texts.push_back(*element.as<std::string>());
    return texts;
}

std::vector<const TomlValue*> TomlReader::tables(std::string_view key) {
    const TomlValue* value = find(key);
    if (value == nullptr) return {};
    const auto* array = value->as<TomlArray>();
    const auto fits = [](const TomlValue& v) { return v.as<TomlTable>() != nullptr; };
    if (array == nullptr || !std::all_of(array->begin(), array->end(), fits)) {
        refuse(key, fmt::format("must be tables, each under its own [[{}]]", key));
        return {};
    }
    std::vector<const TomlValue*> tables;
    for (const TomlValue& element : *array) tables.push_back(&element);
    return tables;
}

void TomlReader::finish() {
    for (const auto& [key, value] : table_.entries) {
        if (std::find(known_.begin(), known_.end(), key) != known_.end() || mistakes_.full()) continue;
        refuse(key, "unknown attribute" + suggestion(key, known_));
    }
}

}  // namespace trireme::jobs
