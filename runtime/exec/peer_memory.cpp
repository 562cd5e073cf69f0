#include "runtime/exec/peer_memory.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "runtime/core/error.hpp"

namespace trireme {

PeerMemory::PeerMemory(Device& device, comm::Communicator& comm, Bytes size, const Deadline& deadline)
    : device_(device), mine_(device.share(size)) {
    const nlohmann::json mine{{"handle", mine_.handle}, {"size", mine_.size.value}};
    int rank = 0;
    for (const std::string& text : comm.all_gather(mine.dump(), "shared memory", deadline)) {
        const nlohmann::json theirs = nlohmann::json::parse(text);
        std::byte* memory = mine_.data;
        try {
            if (rank != comm.rank())
                memory = opened_.emplace_back(device.open_shared(theirs.at("handle").get<std::string>()));
        } catch (const DeviceError& error) {
            refusal_ = fmt::format("it does not reach the device of rank {}: {}", rank, error.what());
            return;
        }
        views_.emplace_back(memory, theirs.at("size").get<std::size_t>());
        ++rank;
    }
}

PeerMemory::~PeerMemory() {
    for (std::byte* memory : opened_) device_.close_shared(memory);
}

}  // namespace trireme
