// Settings as text, each with the place that it came from, and the mistakes found in them. Mistakes are
// collected, so that a user sees all of them at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::jobs {

struct Setting {
    std::string value;
    std::string place;  ///< "lenet.cfg:12" or "command line"
    int order = 0;      ///< line in the file, or after all of them on the command line; orders groups
};

struct Diagnostic {
    std::string place;
    std::string key;
    std::string value;
    std::string rule;
    [[nodiscard]] std::string str() const;
};

class Diagnostics {
  public:
    void add(Diagnostic diagnostic) { list_.push_back(std::move(diagnostic)); }
    [[nodiscard]] bool empty() const { return list_.empty(); }
    [[nodiscard]] std::size_t size() const { return list_.size(); }
    /// Throws a ConfigError that holds all of them, a line each. Nothing happens when there are none.
    void raise() const;

  private:
    std::vector<Diagnostic> list_;
};

/// Typed reads of settings. A value that does not fit its rule is a diagnostic, and the default stands in for
/// it so that reading goes on.
class SettingsReader {
  public:
    SettingsReader(const std::map<std::string, Setting>& settings, Diagnostics& diagnostics)
        : settings_(settings), diagnostics_(diagnostics) {}

    [[nodiscard]] const std::map<std::string, Setting>& settings() const { return settings_; }
    [[nodiscard]] bool has(std::string_view key) const;
    /// The text of a key, or its default.
    [[nodiscard]] std::string text(std::string_view key) const;
    [[nodiscard]] std::int64_t integer(std::string_view key, std::int64_t least,
                                       std::int64_t most = INT64_MAX);
    [[nodiscard]] std::optional<std::int64_t> maybe_integer(std::string_view key, std::int64_t least);
    [[nodiscard]] double number(std::string_view key, double least, double most);
    [[nodiscard]] bool flag(std::string_view key);
    [[nodiscard]] std::string choice(std::string_view key, const std::vector<std::string>& allowed,
                                     const std::vector<std::string>& not_yet = {});
    [[nodiscard]] std::vector<double> numbers(std::string_view key, double least, double most);
    [[nodiscard]] std::vector<std::int64_t> integers(std::string_view key, char separator,
                                                     std::int64_t least);
    /// "2G", "512M", "1000": bytes.
    [[nodiscard]] std::optional<std::int64_t> maybe_bytes(std::string_view key);
    void refuse(std::string_view key, const std::string& rule);

  private:
    const std::map<std::string, Setting>& settings_;
    Diagnostics& diagnostics_;
};

}  // namespace trireme::jobs
