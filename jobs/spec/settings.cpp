#include "jobs/spec/settings.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "jobs/spec/keys.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme::jobs {

std::string Diagnostic::str() const {
    const std::string subject = key.empty()     ? value
                                : value.empty() ? key
                                                : fmt::format("{} = {}", key, value);
    return fmt::format("{}: {}: {}", place, subject, rule);
}

void Diagnostics::raise() const {
    if (list_.empty()) return;
    if (list_.size() == 1) throw ConfigError(list_.front().str());
    std::string text = fmt::format("{} mistakes:", list_.size());
    for (const Diagnostic& d : list_) text += "\n  " + d.str();
    throw ConfigError(text);
}

bool SettingsReader::has(std::string_view key) const { return settings_.contains(std::string(key)); }

std::string SettingsReader::text(std::string_view key) const {
    if (const auto found = settings_.find(std::string(key)); found != settings_.end())
        return found->second.value;
    const KeyInfo* info = find_key(key);
    ensure(info != nullptr, fmt::format("key {} is in the table", key));
    return std::string(info->fallback);
}

void SettingsReader::refuse(std::string_view key, const std::string& rule) {
    const auto found = settings_.find(std::string(key));
    diagnostics_.add(
        {found == settings_.end() ? "default" : found->second.place, std::string(key), text(key), rule});
}

std::int64_t SettingsReader::integer(std::string_view key, std::int64_t least, std::int64_t most) {
    const auto value = parse_integer(text(key));
    if (value && *value >= least && *value <= most) return *value;
    refuse(key, most == INT64_MAX ? fmt::format("must be a whole number of at least {}", least)
                                  : fmt::format("must be a whole number from {} to {}", least, most));
    return least;
}

std::optional<std::int64_t> SettingsReader::maybe_integer(std::string_view key, std::int64_t least) {
    if (text(key).empty()) return std::nullopt;
    return integer(key, least);
}

double SettingsReader::number(std::string_view key, double least, double most) {
    const auto value = parse_number(text(key));
    if (value && *value >= least && *value <= most) return *value;
    refuse(key, fmt::format("must be a number from {} to {}", least, most));
    return least;
}

bool SettingsReader::flag(std::string_view key) {
    const std::string value = text(key);
    if (value == "true" || value == "1" || value == "yes" || value == "on") return true;
    if (!(value == "false" || value == "0" || value == "no" || value == "off"))
        refuse(key, "must be true or false");
    return false;
}

std::string SettingsReader::choice(std::string_view key, const std::vector<std::string>& allowed,
                                   const std::vector<std::string>& not_yet) {
    const std::string value = text(key);
    if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) return value;
    if (std::find(not_yet.begin(), not_yet.end(), value) != not_yet.end()) {
        refuse(key,
               fmt::format("is not available yet in this version; there is: {}", fmt::join(allowed, ", ")));
    } else {
        refuse(key,
               fmt::format("must be one of {}{}", fmt::join(allowed, ", "), did_you_mean(value, allowed)));
    }
    return allowed.front();
}

std::vector<double> SettingsReader::numbers(std::string_view key, double least, double most) {
    std::vector<double> values;
    for (const std::string& piece : split(text(key), ',')) {
        const auto value = parse_number(trim(piece));
        if (!value || *value < least || *value > most) {
            refuse(key, fmt::format("must be numbers from {} to {}, separated by commas", least, most));
            return {};
        }
        values.push_back(*value);
    }
    return values;
}

std::vector<std::int64_t> SettingsReader::integers(std::string_view key, char separator, std::int64_t least) {
    std::vector<std::int64_t> values;
    for (const std::string& piece : split(text(key), separator)) {
        const auto value = parse_integer(trim(piece));
        if (!value || *value < least) {
            refuse(key,
                   fmt::format("must be whole numbers of at least {}, separated by '{}'", least, separator));
            return {};
        }
        values.push_back(*value);
    }
    return values;
}

std::optional<std::int64_t> SettingsReader::maybe_bytes(std::string_view key) {
    std::string value = text(key);
    if (value.empty()) return std::nullopt;
    static constexpr std::string_view units = "KMGT";
    const std::size_t unit =
        units.find(static_cast<char>(std::toupper(static_cast<unsigned char>(value.back()))));
    if (unit != std::string_view::npos) value.pop_back();
    const int shift = unit == std::string_view::npos ? 0 : 10 * (static_cast<int>(unit) + 1);
    const auto count = parse_integer(value);
    if (!count || *count < 1 || *count > (INT64_MAX >> shift)) {
        refuse(key, "must be a size such as 512M or 2G");
        return std::nullopt;
    }
    return *count << shift;
}

}  // namespace trireme::jobs
