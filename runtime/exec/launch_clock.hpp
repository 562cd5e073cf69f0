// The time of each launch of a step on a device whose launches return at once: the host's clock would only
// tell how long launching takes. Events that know when they were passed stand between the launches, also in
// the graphs of a captured step, so that what is timed is the step that trains:
//
//     compute   |t0| first node |t1| second node |t2| .. |tn| wait for sums |t| update |t|
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/device/device.hpp"

namespace trireme {

struct LaunchTime {
    std::string what;    ///< the instruction's text, "update", "wait for samples" or "wait for sums"
    double seconds = 0;  ///< from the end of what was launched before it to its own end
};

class LaunchClock {
  public:
    /// `device` is asynchronous and must outlive it.
    explicit LaunchClock(Device& device) : device_(device) {}

    /// Forgets what was marked before; time runs from here.
    void begin(Stream& stream);
    /// Behind what was launched since the mark before.
    void mark(Stream& stream, std::string_view what);
    /// In the order of the marks. What they stand behind must be over; throws DeviceError where it failed.
    [[nodiscard]] std::vector<LaunchTime> times() const;

  private:
    void record(Stream& stream);

    Device& device_;
    std::vector<std::string> names_;              ///< of what ends at events_[i + 1]
    std::vector<std::unique_ptr<Event>> events_;  ///< one more than names, or more of an earlier use
    std::size_t recorded_ = 0;
};

}  // namespace trireme
