// How ranks join a collective library of their devices (collective_library.hpp) without waiting for ever: the
// library's own way of joining waits for all ranks and knows no deadline.
#pragma once

#include <memory>

#include "comm/communicator.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/device/collective_library.hpp"

namespace trireme {

/// All ranks call it. Throws DeviceError where the library failed on a rank, and JobFailed where one has died
/// or has not joined at the deadline; then a thread of its own is left waiting in the library.
[[nodiscard]] std::unique_ptr<LibrarySum> join_library(std::shared_ptr<CollectiveLibrary> library,
                                                       comm::Communicator& comm, const Deadline& deadline);

}  // namespace trireme
