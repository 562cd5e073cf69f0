// Typed reads of one table of a model file. A value that does not fit its rule becomes a mistake with its
// line, and something harmless stands in for it, so that reading goes on and all mistakes are told together.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jobs/models/toml_document.hpp"

namespace trireme::jobs {

/// The mistakes of one model file.
class FileMistakes {
  public:
    explicit FileMistakes(std::string file) : file_(std::move(file)) {}

    /// A key of one table of the file.
    using Place = std::pair<const TomlTable*, std::string>;
    /// `subject`: "layer conv1: kernel = 0". One mistake is told for each place: the nested layers of a
    /// repeat block are read many times.
    void add(int line, const Place& place, const std::string& subject, const std::string& rule);
    [[nodiscard]] bool empty() const { return told_.empty(); }
    [[nodiscard]] std::size_t size() const { return told_.size(); }
    /// True once there are so many that no more are kept; finding suggestions for them would be wasted.
    [[nodiscard]] bool full() const { return list_.size() >= most; }
    /// Throws a ConfigError with all of them in the order of their lines. Nothing happens when there are
    /// none.
    void raise() const;

  private:
    static constexpr std::size_t most = 50;
    struct Mistake {
        int line;
        std::string text;
    };
    std::string file_;
    std::set<Place> told_;
    std::vector<Mistake> list_;
};

/// " (did you mean X?)", or a list of what there is when nothing is near. Long words are not compared.
[[nodiscard]] std::string suggestion(std::string_view word, const std::vector<std::string>& known);

class TomlReader {
  public:
    using Pair = std::array<std::int64_t, 2>;

    /// `subject` stands in front of each key in messages: "layer conv1"; empty at the top of the file.
    TomlReader(const TomlTable& table, int line, std::string subject, FileMistakes& mistakes)
        : table_(table), line_(line), subject_(std::move(subject)), mistakes_(mistakes) {}

    /// The value of a key, which is a known one from here on; null where it is not given.
    const TomlValue* find(std::string_view key);
    std::optional<std::string> text(std::string_view key);
    /// The value's line, or the table's where the key is not given.
    [[nodiscard]] int line_of(std::string_view key) const;

    std::optional<std::int64_t> maybe_integer(std::string_view key, std::int64_t least, std::int64_t most);
    std::int64_t integer(std::string_view key, std::int64_t fallback, std::int64_t least, std::int64_t most);
    double number(std::string_view key, double fallback, double least, double most);
    bool flag(std::string_view key, bool fallback);
    /// 3 or [3, 5]: height and width.
    Pair pair(std::string_view key, const Pair& fallback, std::int64_t least);
    /// The same; it must be given.
    Pair needed_pair(std::string_view key, std::int64_t least);
    std::optional<std::vector<std::int64_t>> maybe_integers(std::string_view key, std::size_t most_elements);
    /// "a" or ["a", "b"].
    std::optional<std::vector<std::string>> maybe_texts(std::string_view key, std::size_t most_elements);
    /// The tables of [[key]]; empty where there are none.
    std::vector<const TomlValue*> tables(std::string_view key);

    /// Tells a mistake about the key's value, or about the table when `key` is empty.
    void refuse(std::string_view key, const std::string& rule);
    void missing(std::string_view key, const std::string& rule);
    /// Tells every key that nobody asked for. To be called once, after all reads.
    void finish();
    /// False after any mistake in this table.
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] int line() const { return line_; }
    void set_subject(std::string subject) { subject_ = std::move(subject); }

  private:
    [[nodiscard]] std::string subject_of(std::string_view key) const;

    const TomlTable& table_;
    int line_;
    std::string subject_;
    FileMistakes& mistakes_;
    std::vector<std::string> known_;
    bool ok_ = true;
};

}  // namespace trireme::jobs
