// The parameters of all ranks compared: replicas that took the same updates hold the same bits, so one that
// does not has a broken memory, core or device, and everything that it sends on is wrong.
//
//      rank 0: hash of its parameters --+
//      rank 1: hash of its parameters --+--> every rank sees all hashes, and judges alike
//      rank 2: hash of its parameters --+
//
// It costs one pass over the parameters (memory speed) and a gather of 16 characters a rank.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/exec/model_state.hpp"

namespace trireme::jobs {

/// XXH3 over the parameters in name order, padding left out.
[[nodiscard]] std::uint64_t params_hash(const ModelState& state);

/// What the hashes of all ranks, by rank, say.
struct ReplicaVerdict {
    std::vector<int>
        suspects;           ///< ranks whose parameters are wrong; all of them where no majority tells which
    bool majority = false;  ///< more than half of the ranks agree, and the suspects are the others
    std::string text;       ///< which ranks have which hash; "" where all agree
};
[[nodiscard]] ReplicaVerdict judge_replicas(const std::vector<std::string>& hashes);

/// All ranks call it after the same step. Throws IntegrityError on the ranks that are wrong, or on all where
/// no majority tells which those are; JobFailed with that error on the others. So a verdict names a rank that
/// is wrong, with its host.
void check_replicas(const ModelState& state, std::int64_t step, comm::Communicator& comm,
                    const Deadline& deadline);

}  // namespace trireme::jobs
