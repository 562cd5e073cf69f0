#include "runtime/exec/peer_memory.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme {

PeerMemory::PeerMemory(Device& device, comm::Communicator& comm, Bytes size, const Deadline& deadline)
    : device_(device) {
    try {
        mine_ = device.share(size);
    } catch (const DeviceError& error) {
        refusal_ = fmt::format("its device shares no memory: {}", error.what());
    }
    // The others wait for what this rank has to say, whatever that is.
    const nlohmann::json mine{{"handle", mine_.handle}, {"size", mine_.size.value}};
    int rank = 0;
    for (const std::string& text : comm.all_gather(mine.dump(), "shared memory", deadline)) {
        if (!refusal_.empty()) return;
        const nlohmann::json theirs = nlohmann::json::parse(text);
        views_.emplace_back(rank == comm.rank() ? mine_.data : opened(theirs.at("handle"), rank),
                            theirs.at("size").get<std::size_t>());
        ++rank;
    }
}

/// Null with the refusal where this device does not reach it.
std::byte* PeerMemory::opened(const std::string& handle, int rank) {
    if (handle.empty()) {
        refusal_ = fmt::format("the device of rank {} shares no memory", rank);
        return nullptr;
    }
    try {
        return opened_.emplace_back(device_.open_shared(handle));
    } catch (const DeviceError& error) {
        refusal_ = fmt::format("it does not reach the device of rank {}: {}", rank, error.what());
        return nullptr;
    }
}

PeerMemory::~PeerMemory() {
    for (std::byte* memory : opened_) device_.close_shared(memory);
}

}  // namespace trireme
