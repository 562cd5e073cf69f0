#include "runtime/device/sharing.hpp"

#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme {

std::string shared_devices(std::span<const Occupant> occupants) {
    std::map<std::string, std::vector<int>> ranks_of;  // by device: identities are unique among hosts
    std::map<std::string, std::string> host_of;
    for (const Occupant& occupant : occupants) {
        if (occupant.device.empty()) continue;
        ranks_of[occupant.device].push_back(occupant.rank);
        host_of[occupant.device] = occupant.host;
    }
    std::string text;
    for (const auto& [device, ranks] : ranks_of) {
        if (ranks.size() > 1)
            text +=
                fmt::format("\n  ranks {} of host {}: {}", fmt::join(ranks, ", "), host_of[device], device);
    }
    return text;
}

}  // namespace trireme
