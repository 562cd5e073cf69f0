// Collects spans and writes them as a Chrome trace (JSON), which Perfetto and chrome://tracing open. One
// process a rank, one thread a track. Times are microseconds since the zero, a moment that all ranks have in
// common: each gives it by its own clock (comm/clock_sync.hpp).
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "runtime/core/trace_sink.hpp"

namespace trireme {

class TraceWriter final : public TraceSink {
  public:
    explicit TraceWriter(int rank) : rank_(rank), zero_(Clock::now()) {}

    /// The common moment on this rank's clock, and how far it may be off; the trace shows that beside the
    /// rank.
    void set_zero(Clock::time_point zero, Clock::duration error) {
        zero_ = zero;
        zero_error_ = error;
    }
    /// Outside of recording, spans are dropped.
    void record(bool on);
    void span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
              std::string_view detail) override;

    /// This rank's events, one JSON object a line, separated by commas.
    [[nodiscard]] std::string events() const;
    /// The whole file from the events of all ranks.
    [[nodiscard]] static std::string document(const std::vector<std::string>& events_by_rank);

  private:
    struct Event {
        Track track;
        std::string name;
        std::string detail;
        Clock::time_point begin;
        Clock::time_point end;
    };
    int rank_;
    Clock::time_point zero_;
    Clock::duration zero_error_{};
    mutable std::mutex mutex_;
    bool recording_ = false;
    std::vector<Event> events_;
};

}  // namespace trireme
