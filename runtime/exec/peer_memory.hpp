// Memory of this rank's device that all ranks of the host see, and theirs as it is mapped here.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

class PeerMemory {
  public:
    /// Shares `size` bytes and maps what the others share; all ranks call it. Where one cannot, `refusal`
    /// says why, of this rank alone. Throws what waits throw.
    PeerMemory(Device& device, comm::Communicator& comm, Bytes size, const Deadline& deadline);
    ~PeerMemory();
    PeerMemory(const PeerMemory&) = delete;
    PeerMemory& operator=(const PeerMemory&) = delete;

    [[nodiscard]] const std::string& refusal() const { return refusal_; }
    /// Of this rank; null where its device shares none.
    [[nodiscard]] std::byte* data() const { return mine_.data; }
    /// By rank.
    [[nodiscard]] const std::vector<std::span<const std::byte>>& views() const { return views_; }

  private:
    [[nodiscard]] std::byte* opened(const std::string& handle, int rank);

    Device& device_;
    SharedMemory mine_{};
    std::vector<std::byte*> opened_;
    std::vector<std::span<const std::byte>> views_;
    std::string refusal_;
};

}  // namespace trireme
