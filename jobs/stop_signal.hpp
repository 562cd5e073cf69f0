// SIGTERM and SIGUSR1 as a wish: the handlers set one flag and nothing else. The wish of one rank travels
// with the status words of the next step's sums, so that all ranks stop after the same step.
#pragma once

#include <array>
#include <csignal>

namespace trireme::jobs {

class StopSignal {
  public:
    /// Takes over both signals and forgets an earlier wish.
    StopSignal();
    /// Gives them back to who had them.
    ~StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;

    /// True once either signal has come to this process.
    [[nodiscard]] static bool wished();

  private:
    std::array<struct sigaction, 2> former_{};
};

}  // namespace trireme::jobs
