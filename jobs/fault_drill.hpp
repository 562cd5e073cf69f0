// Fault drills: makes one rank fail at a chosen step, so that tests and operators can see how a job ends.
// Armed by the environment variable TRIREME_FAULT only, for example "throw:rank=1:step=7",
// "stop:rank=1:step=7" (SIGSTOP to itself) or "kill:rank=1:step=7" (SIGKILL to itself).
#pragma once

#include <cstdint>

namespace trireme::jobs {

class FaultDrill {
  public:
    /// Reads the environment. Throws ConfigError when the text is malformed.
    explicit FaultDrill(int rank);
    /// Called before each step, counted from 0; does what the drill says at its step.
    void before_step(std::int64_t step) const;

  private:
    enum class Kind { none, raise, stop, kill };
    Kind kind_ = Kind::none;
    std::int64_t step_ = -1;
};

}  // namespace trireme::jobs
