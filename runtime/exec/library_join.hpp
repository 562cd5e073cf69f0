// How ranks join a collective library of their devices (collective_library.hpp) without waiting for ever: the
// library's own way of joining waits for all ranks and knows no deadline. A network that it cannot use is a
// reason to do without it, and not to end the job.
#pragma once

#include <memory>

#include "comm/communicator.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/device/collective_library.hpp"

namespace trireme {

/// All ranks call it. Throws DeviceError where the library fails, or does not come back in `patience`
/// seconds; then a thread is left waiting in it. Ranks for which it came back do not throw: who goes on must
/// agree. Throws JobFailed where a rank has died, or where one has not come at the deadline.
[[nodiscard]] std::unique_ptr<LibrarySum> join_library(std::shared_ptr<CollectiveLibrary> library,
                                                       comm::Communicator& comm, double patience,
                                                       const Deadline& deadline);

}  // namespace trireme
