// Which of a library's plans runs a graph fastest, kept between jobs. The host-only half of tuning: what a
// measurement decides, under which key it is found again, and the file. Nothing here launches anything.
//
// Plans are tuned by one rank (plan_tuner.hpp), and all ranks of a job use what it found: `text` travels, and
// `replace` takes it in. A canonical job tunes nothing, because another plan may give other bits.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

/// Where a user's measurements are kept: $TRIREME_PLAN_CACHE, else trireme/plans.json in $XDG_CACHE_HOME,
/// else the same in ~/.cache; empty where none of these is set. `variable` answers as std::getenv does.
[[nodiscard]] std::filesystem::path plan_cache_path(const std::function<const char*(const char*)>& variable);

/// Times of one plan, in microseconds, in the order in which they were taken.
struct PlanTimes {
    std::string plan;
    std::vector<double> microseconds;
};

struct PlanChoice {
    std::string plan;
    double microseconds = 0;  ///< its median
    bool operator==(const PlanChoice&) const = default;
};

/// Fewer runs than these decide nothing.
inline constexpr std::size_t least_tuning_runs = 10;

/// The plan with the least median; of equal ones the first, which is the library's own choice. Empty where no
/// plan has times enough.
[[nodiscard]] std::optional<PlanChoice> fastest(std::span<const PlanTimes> plans);

/// What else a plan's speed, or its existence, depends on: a plan's name means something to one version of
/// the library alone.
struct PlanEnvironment {
    std::string gpu;  ///< its name, such as "NVIDIA H100 80GB HBM3"
    int sm = 0;
    std::int64_t cudnn = 0;
    std::int64_t cublaslt = 0;

    [[nodiscard]] std::string str() const;
};

class PlanCache {
  public:
    explicit PlanCache(PlanEnvironment environment) : environment_(environment.str()) {}

    /// Of the graph in this environment; a graph is named by its text (cudnn::GraphSpec::str).
    [[nodiscard]] std::optional<PlanChoice> find(std::string_view graph) const;
    void put(std::string_view graph, PlanChoice choice);
    [[nodiscard]] std::size_t size() const { return choices_.size(); }

    /// All choices, those of other environments too, as JSON with sorted keys.
    [[nodiscard]] std::string text() const;
    /// Takes in what a text holds; what was there already stays unless the text has it too. Throws DataError,
    /// which says what is wrong in the text, and takes in nothing then.
    void merge(std::string_view text);
    /// Knows what a text holds and nothing else. Throws as merge does, and is as it was then.
    void replace(std::string_view text);

    /// Reads a file; one that is not there is empty. A damaged one is passed over, as it is only a memory of
    /// measurements: then the words of a warning are returned.
    [[nodiscard]] std::string read(const std::filesystem::path& path);
    /// Writes all choices; the file appears complete or not at all. Throws DataError.
    void write(const std::filesystem::path& path) const;

  private:
    [[nodiscard]] std::string key(std::string_view graph) const;

    std::string environment_;
    std::map<std::string, PlanChoice> choices_;
};

}  // namespace trireme
