#include "runtime/exec/launch_clock.hpp"

namespace trireme {

void LaunchClock::record(Stream& stream) {
    if (recorded_ == events_.size()) events_.push_back(device_.make_timed_event());
    stream.record(*events_[recorded_++]);
}

void LaunchClock::begin(Stream& stream) {
    names_.clear();
    recorded_ = 0;
    record(stream);
}

void LaunchClock::mark(Stream& stream, std::string_view what) {
    names_.emplace_back(what);
    record(stream);
}

std::vector<LaunchTime> LaunchClock::times() const {
    std::vector<LaunchTime> times;
    times.reserve(names_.size());
    for (std::size_t i = 0; i < names_.size(); ++i)
        times.push_back({names_[i], events_[i + 1]->seconds_since(*events_[i])});
    return times;
}

}  // namespace trireme
