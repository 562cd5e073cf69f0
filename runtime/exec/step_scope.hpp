// What the instructions of one step share. Only runtime/exec/executor*.cpp include this.
#pragma once

#include <chrono>
#include <string_view>

#include "runtime/exec/executor.hpp"

namespace trireme {

using Clock = std::chrono::steady_clock;

[[nodiscard]] inline double seconds_between(Clock::time_point begin, Clock::time_point end) {
    return std::chrono::duration<double>(end - begin).count();
}

/// What parts of a step that are no instruction are called in traces, verdicts and times of launches.
inline constexpr std::string_view passes_label = "forward and backward";
inline constexpr std::string_view samples_label = "wait for samples";
inline constexpr std::string_view sums_label = "wait for sums";
inline constexpr std::string_view update_label = "update";
inline constexpr std::string_view commit_label = "wait for the update";

/// What follows the passes of a step where these are replayed: results leave, the update is committed.
[[nodiscard]] inline bool follows_passes(const Action& action) {
    return std::holds_alternative<ReduceBucket>(action) || std::holds_alternative<OptimizerStep>(action);
}

/// Instructions in which the host takes part; all others only launch.
[[nodiscard]] inline bool is_of_host(const Action& action) {
    return std::holds_alternative<LoadMicrobatch>(action) || follows_passes(action);
}

struct Executor::StepScope {
    const StepInputs* inputs = nullptr;  ///< null in forward programs
    StepReport report;
    StepState judged;  ///< by a device that is the host
    HostBatch batch;
    std::size_t sums_started = 0;
    double drill_delay = 0;
    double of_step_before = 0;     ///< seconds of this launch in which it was waited for
    Captured* captured = nullptr;  ///< the step is replayed
    LaunchClock* clock = nullptr;  ///< where launches are timed
    bool loaded = false;           ///< the samples were sent ahead
};

}  // namespace trireme
