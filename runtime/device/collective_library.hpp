// Sums over ranks by a library of the device's maker, on a stream of the device: an offer that is never
// needed. Its sums are formed in an order of its own, so canonical jobs do without it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "runtime/device/device.hpp"

namespace trireme {

/// The ranks that sum with each other.
class LibrarySum {
  public:
    virtual ~LibrarySum() = default;
    /// data[i] := the sum over all ranks, in stream order. All ranks call it in the same order. Throws
    /// DeviceError.
    virtual void all_reduce(Stream& stream, float* data, std::int64_t elements) = 0;
    /// Ends what is under way without waiting for peers, which may be gone.
    virtual void give_up() noexcept = 0;
};

class CollectiveLibrary {
  public:
    virtual ~CollectiveLibrary() = default;
    /// "NCCL 2.28.9"; ranks join only with the same one. Empty where `refusal` says why there is none.
    [[nodiscard]] virtual std::string name() = 0;
    [[nodiscard]] virtual std::string refusal() = 0;
    /// What one rank makes and all join with; any bytes.
    [[nodiscard]] virtual std::string new_id() = 0;
    /// All ranks call it; it waits for them, maybe for ever: see join_library, which calls it from a thread
    /// of its own. Throws DeviceError.
    [[nodiscard]] virtual std::unique_ptr<LibrarySum> join(const std::string& id, int rank, int ranks) = 0;
};

}  // namespace trireme
