// An evaluation as people read it: a line, a table of classes, and the confusion matrix.
#include <algorithm>

#include <fmt/format.h>

#include "jobs/evaluation.hpp"

namespace trireme::jobs {
namespace {

constexpr std::int64_t widest_matrix = 20;  // classes; more are told by their largest confusions
constexpr std::size_t told_confusions = 20;
constexpr std::size_t longest_name = 24;

struct Table {
    explicit Table(const Evaluation& evaluation) : of(evaluation) {}
    const Evaluation& of;

    [[nodiscard]] std::int64_t at(std::int64_t actual, std::int64_t predicted) const {
        return of.confusion[static_cast<std::size_t>(actual * of.outputs + predicted)];
    }
    [[nodiscard]] std::int64_t actual(std::int64_t c) const {
        std::int64_t sum = 0;
        for (std::int64_t p = 0; p < of.outputs; ++p) sum += at(c, p);
        return sum;
    }
    [[nodiscard]] std::int64_t predicted(std::int64_t c) const {
        std::int64_t sum = 0;
        for (std::int64_t a = 0; a < of.outputs; ++a) sum += at(a, c);
        return sum;
    }
    [[nodiscard]] std::string name(std::int64_t c) const {
        return of.class_names.empty() ? fmt::format("{}", c)
                                      : of.class_names[static_cast<std::size_t>(c)].substr(0, longest_name);
    }
};

/// "98.33 %", or a dash of the same width where there is nothing to divide by.
std::string percent(std::int64_t part, std::int64_t whole) {
    if (whole == 0) return fmt::format("{:>9}", "-");
    return fmt::format("{:>7.2f} %", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

std::string class_table(const Table& table) {
    std::string text =
        fmt::format("{:<{}} {:>9} {:>9} {:>9}\n", "class", longest_name, "samples", "recall", "precision");
    for (std::int64_t c = 0; c < table.of.outputs; ++c) {
        text += fmt::format("{:<{}} {:>9} {} {}\n", table.name(c), longest_name, table.actual(c),
                            percent(table.at(c, c), table.actual(c)),
                            percent(table.at(c, c), table.predicted(c)));
    }
    return text;
}

std::string matrix(const Table& table) {
    std::string text = "confusion (rows: actual, columns: predicted)\n" + fmt::format("{:>6}", "");
    for (std::int64_t c = 0; c < table.of.outputs; ++c) text += fmt::format(" {:>6}", c);
    text += '\n';
    for (std::int64_t a = 0; a < table.of.outputs; ++a) {
        text += fmt::format("{:>6}", a);
        for (std::int64_t p = 0; p < table.of.outputs; ++p) text += fmt::format(" {:>6}", table.at(a, p));
        text += '\n';
    }
    return text;
}

std::string largest_confusions(const Table& table) {
    struct Pair {
        std::int64_t count, actual, predicted;
    };
    std::vector<Pair> pairs;
    for (std::int64_t a = 0; a < table.of.outputs; ++a) {
        for (std::int64_t p = 0; p < table.of.outputs; ++p) {
            if (a != p && table.at(a, p) > 0) pairs.push_back({table.at(a, p), a, p});
        }
    }
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const Pair& a, const Pair& b) { return a.count > b.count; });
    pairs.resize(std::min(pairs.size(), told_confusions));
    std::string text = "largest confusions (--json has the whole matrix)\n";
    for (const Pair& pair : pairs)
        text += fmt::format("{:>6} of class {} taken for {}\n", pair.count, table.name(pair.actual),
                            table.name(pair.predicted));
    return text;
}

}  // namespace

std::string Evaluation::text(const std::string& what) const {
    std::string line = fmt::format("{} of {}: {} samples, loss {:.4f}", split, what, samples, loss());
    if (has_accuracy()) line += fmt::format(", accuracy {:.2f} %", accuracy() * 100);
    if (is_index()) line += fmt::format(", top-5 {:.2f} %", top5_accuracy() * 100);
    line += '\n';
    if (kind != OutputKind::classes) return line;
    const Table table(*this);
    return line + class_table(table) + (outputs <= widest_matrix ? matrix(table) : largest_confusions(table));
}

}  // namespace trireme::jobs
