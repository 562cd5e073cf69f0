// The progress of a job as a person watches it: a bar that is redrawn on a terminal, a plain line now and
// then elsewhere. Written to standard error; results are never mixed with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace trireme {

struct ProgressFacts {
    std::int64_t step = 0;  ///< steps done
    std::int64_t steps = 0;
    double epoch = 0;
    std::optional<double> loss;  ///< of the samples since the last line; none where all steps were skipped
    double lr = 0;
    double samples_per_s = 0;
    double seconds_left = 0;
};

class Progress {
  public:
    enum class Mode { automatic, bar, plain, off };
    explicit Progress(Mode mode);

    /// Shows the facts, at most ten times a second on a bar. `line`: also worth a line where there is no bar.
    void show(const ProgressFacts& facts, bool line);
    /// A line of its own: the bar is cleared first and comes back with the next `show`.
    void message(const std::string& text);
    /// Ends the bar's line.
    void finish();

  private:
    void clear();
    Mode mode_;
    bool drawn_ = false;
    std::chrono::steady_clock::time_point last_{};
};

/// "01:02:03" or "02:03".
[[nodiscard]] std::string clock_text(double seconds);

}  // namespace trireme
