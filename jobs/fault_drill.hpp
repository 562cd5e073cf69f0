// Fault drills: makes one rank fail at a chosen step, so that tests and operators can see how a job ends.
// Armed by the environment variable TRIREME_FAULT only, for example "throw:rank=1:step=7",
// "stop:rank=1:step=7" (SIGSTOP to itself), "kill:rank=1:step=7" (SIGKILL to itself) or "flip:rank=1:step=7"
// (one bit of one parameter, as a broken memory would). Two kinds make a rank, or with rank=all every rank,
// slow from a step on: "slow-data:rank=1:step=7:ms=50" (its batches come later) and
// "slow-compute:rank=1:step=7:ms=50" (its kernels take longer).
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/exec/model_state.hpp"

namespace trireme::jobs {

class FaultDrill {
  public:
    /// Reads the environment. Throws ConfigError when the text is malformed.
    explicit FaultDrill(int rank);
    /// Called before each step, counted from 0; does what the drill says at its step.
    void before_step(std::int64_t step, ModelState& state) const;
    /// Seconds by which the batch of a step comes later, and by which its kernels take longer.
    [[nodiscard]] double data_delay(std::int64_t step) const { return delay(Kind::slow_data, step); }
    [[nodiscard]] double kernel_delay(std::int64_t step) const { return delay(Kind::slow_compute, step); }

  private:
    enum class Kind { none, raise, stop, kill, flip, slow_data, slow_compute };
    [[nodiscard]] static Kind kind_named(std::string_view name);
    [[nodiscard]] double delay(Kind kind, std::int64_t step) const {
        return kind == kind_ && step >= step_ ? seconds_ : 0;
    }
    Kind kind_ = Kind::none;
    std::int64_t step_ = -1;
    double seconds_ = 0;
};

}  // namespace trireme::jobs
