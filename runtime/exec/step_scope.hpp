// What the instructions of one step share. Only runtime/exec/executor*.cpp include this.
#pragma once

#include <chrono>

#include "runtime/exec/executor.hpp"

namespace trireme {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

struct Executor::StepScope {
    const StepInputs* inputs = nullptr;  ///< null in forward programs
    StepReport report;
    HostBatch batch;
    std::size_t sums_started = 0;
    double drill_delay = 0;
};

}  // namespace trireme
