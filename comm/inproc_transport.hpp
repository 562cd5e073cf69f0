// Threads as ranks: the ranks of a world are threads of one process and share mailboxes. A send is matched
// with its receive (source and tag, in the order of posting) and copied once, straight from buffer to buffer,
// by whichever of the two comes second; so sends have rendezvous semantics, the strictest that a transport
// may have. It knows no MPI, which lets thread sanitizers see all of it.
#pragma once

#include <memory>
#include <vector>

#include "comm/transport.hpp"

namespace trireme::comm {

/// One transport a rank, sharing a world. Each is used by one thread at a time; the world lives as long as
/// the last of them. A transport that is destroyed without `close` counts as a lost peer.
[[nodiscard]] std::vector<std::unique_ptr<Transport>> in_process_transports(int ranks);

}  // namespace trireme::comm
