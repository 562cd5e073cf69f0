// The progress of an import, on standard error: a bar on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::jobs {

class ImportProgress {
  public:
    /// `ranks` share the work; what is shown is this rank's share of it.
    explicit ImportProgress(int ranks);
    ~ImportProgress();
    ImportProgress(const ImportProgress&) = delete;
    ImportProgress& operator=(const ImportProgress&) = delete;

    void show(std::string_view phase, std::int64_t done, std::int64_t total);
    /// Ends the bar's line.
    void finish();

  private:
    using Clock = std::chrono::steady_clock;
    const bool terminal_;
    const std::string share_;
    bool drawn_ = false;
    Clock::time_point last_ = Clock::now();
};

}  // namespace trireme::jobs
