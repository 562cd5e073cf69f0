// The transport over MPI: the only file family that includes mpi.h. The thread that calls `open` calls
// MPI_Init_thread(FUNNELED) and all other MPI functions, so no thread support is needed of the library. Works
// without a launcher, as a world of one. Errors of MPI come back as PeerFailure or PeerLost
// (MPI_ERRORS_RETURN).
#pragma once

#include <memory>
#include <string>

#include "comm/transport.hpp"

namespace trireme::comm {

/// At most one a process at a time, and MPI cannot be opened twice in a process.
[[nodiscard]] std::unique_ptr<Transport> mpi_transport();

}  // namespace trireme::comm
