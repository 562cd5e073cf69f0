// The time of each node and pass of a step, against what the machine could do: a table for people who want to
// know where a step goes.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "jobs/planned_job.hpp"
#include "runtime/core/trace_sink.hpp"
#include "runtime/exec/launch_clock.hpp"
#include "runtime/telemetry/roofline.hpp"

namespace trireme::jobs {

/// Adds up what a step's parts take, by name: the spans of the thread that computes, where it does so itself,
/// or what an asynchronous device tells of its launches.
class OpTimes final : public TraceSink {
  public:
    /// Outside of recording, spans are dropped; each `record(true)` begins a step. Spans of other threads are
    /// always.
    void record(bool on);
    /// A whole step, as a device has told it.
    void add_step(const std::vector<LaunchTime>& launches);
    void span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
              std::string_view detail) override;

    [[nodiscard]] std::int64_t steps() const;
    /// Seconds of a step, by name of the span.
    [[nodiscard]] std::map<std::string, double> seconds_a_step() const;

  private:
    void add(std::string_view name, double seconds);

    mutable std::mutex mutex_;
    bool recording_ = false;
    std::int64_t steps_ = 0;
    std::map<std::string, double, std::less<>> seconds_;
};

/// One node and pass of a step, over all its micro-batches; or what belongs to no node, by its verb.
struct OpRow {
    std::string node;  ///< "" where it belongs to none
    std::string op;    ///< "conv2d"
    std::string pass;  ///< "forward", "backward-weight", ..., "update"
    std::string kernel;
    double seconds = 0;  ///< of a step
    double flops = 0;    ///< of a step
    double bytes = 0;    ///< that a step must move at least: what is read and written, each once

    /// The least time that the roofline allows, over the time taken; 0 where there is nothing to compare.
    /// Above 1 where data comes from a cache.
    [[nodiscard]] double roofline_share(const Roofline& roofline) const;
};

/// Rows in falling order of time, of a full step of `rank`. `times` was recorded over full steps.
[[nodiscard]] std::vector<OpRow> op_rows(const PlannedJob& job, int rank, const OpTimes& times);

/// The table, with a line of the roofline above it and a line of all rows together below.
[[nodiscard]] std::string op_table(const std::vector<OpRow>& rows, const Roofline& roofline);

}  // namespace trireme::jobs
