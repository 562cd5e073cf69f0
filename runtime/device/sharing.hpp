// Whether ranks took one piece of hardware together, which each of them alone cannot see.
#pragma once

#include <span>
#include <string>

namespace trireme {

/// A rank and what it runs on.
struct Occupant {
    int rank = 0;
    std::string host;
    std::string device;  ///< Device::identity; empty: sharing is the normal case
};

/// One line, which begins with a line break, for each device that more than one rank took: the ranks, the
/// host and the device. Empty when there is none.
[[nodiscard]] std::string shared_devices(std::span<const Occupant> occupants);

}  // namespace trireme
