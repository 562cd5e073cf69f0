// Where spans of time go. The producer calls `span` from its own thread; sinks are thread-safe.
#pragma once

#include <chrono>
#include <string_view>

namespace trireme {

enum class Track { main, comm, data };

class TraceSink {
  public:
    using Clock = std::chrono::steady_clock;
    virtual ~TraceSink() = default;
    /// `name` is copied. `detail` is free text shown with the span (bytes, algorithm), may be empty.
    virtual void span(Track track, std::string_view name, Clock::time_point begin, Clock::time_point end,
                      std::string_view detail) = 0;
};

}  // namespace trireme
