// Where the time of each rank went, side by side, and which rank the others waited for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/exec/step_report.hpp"

namespace trireme {

/// The training loop of one rank, in seconds over all its steps.
struct RankSplit {
    int rank = 0;
    std::string host;
    std::int64_t steps = 0;
    StepTimes times;
    double wall = 0;  ///< of the loop by its own clock, evaluations left out

    /// What no column has: between two measurements.
    [[nodiscard]] double unaccounted() const { return wall - times.accounted(); }
    /// Seconds a step of something that took `seconds` in all.
    [[nodiscard]] double a_step(double seconds) const {
        return steps > 0 ? seconds / static_cast<double>(steps) : 0;
    }
    /// One line of JSON, and back again: how ranks tell each other.
    [[nodiscard]] std::string text() const;
    [[nodiscard]] static RankSplit parse(std::string_view text);
};

/// The rank that the others waited for.
struct Straggler {
    int rank = 0;
    std::string host;
    double wait = 0;        ///< seconds a step that another rank waited for it, on average
    std::string longer_in;  ///< the column in which it exceeds the others most, "data_wait" say; "" for none
    double longer_by = 0;   ///< seconds a step
    [[nodiscard]] std::string str() const;
};

/// A rank that waited for nobody while the others did: it waits less than half as long as they do on average,
/// and they wait for 2 % of their time at least. None where ranks wait for each other in turn.
[[nodiscard]] std::optional<Straggler> straggler_of(const std::vector<RankSplit>& ranks);

}  // namespace trireme
