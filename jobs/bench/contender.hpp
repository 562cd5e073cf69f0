// Who takes part in a comparison of training steps: our own runtime with some settings, or another framework
// in a process of its own. All of them stay alive and are asked for some steps in turn, so that what the
// machine does meanwhile meets them alike.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/strong.hpp"
#include "runtime/exec/step_report.hpp"

namespace trireme::jobs {

/// What some steps in a row took.
struct Turn {
    std::vector<double> seconds;  ///< of each step
    StepTimes times;              ///< of all of them; only ours has columns
};

class Contender {
  public:
    virtual ~Contender() = default;
    [[nodiscard]] virtual const std::string& name() const = 0;
    /// One step that does not count, then `steps` that do. All ranks call it.
    [[nodiscard]] virtual Turn take_turn(std::int64_t steps) = 0;
    /// Samples of a step, of all ranks.
    [[nodiscard]] virtual std::int64_t batch() const = 0;
    /// Peak resident memory of this rank's process; none where another contender lives in it too, because
    /// then nobody can tell whose it is.
    [[nodiscard]] virtual std::optional<Bytes> peak_memory() = 0;
};

/// All turns of one contender.
struct Record {
    std::string name;
    std::int64_t batch = 0;            ///< samples of a step, of all ranks
    std::vector<double> seconds;       ///< of all steps
    std::vector<double> turn_medians;  ///< seconds of a step, by turn
    StepTimes times;
    std::optional<Bytes> peak_memory;  ///< none where the process was shared

    /// By the median step.
    [[nodiscard]] double samples_per_second() const;
};

/// How the first contender compares with another: by turn, the other's median step over the first one's.
/// Above 1 the first is faster.
struct Ratio {
    std::string to;
    double median = 0;
    double p10 = 0;
    double p90 = 0;
    std::optional<double> memory;  ///< the first one's peak over the other's, where both have a process alone
};
[[nodiscard]] Ratio ratio_of(const Record& first, const Record& other);

/// Lets each contender take a turn of `steps`, `rounds` times over; every round begins with another one, so
/// that none is always behind the same. `between` is called before each turn: ranks meet in it.
[[nodiscard]] std::vector<Record> alternate(const std::vector<std::unique_ptr<Contender>>& contenders,
                                            std::int64_t rounds, std::int64_t steps,
                                            const std::function<void()>& between);

}  // namespace trireme::jobs
