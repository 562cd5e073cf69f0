// Which all-reduce a buffer gets when the job does not pin one. The estimate is the usual alpha-beta-gamma
// one (Thakur, Rabenseifner, Gropp 2005): alpha seconds a message, beta a byte on the wire, gamma a byte
// summed. The ring sums while it transfers, so gamma hides behind beta; halving-doubling does not. With p the
// largest power of two <= n and N bytes:
//
//     ring               2 (n-1) alpha + 2 N (n-1)/n beta
//     halving_doubling   2 log2(p) alpha + N (p-1)/p (2 beta + gamma)  [n > p: + 2 alpha + N (2 beta +
//     gamma)]
//
// All ranks decide alike, because they decide from the same figures.
#pragma once

#include <string>

#include "comm/communicator.hpp"
#include "comm/step_list.hpp"
#include "runtime/core/strong.hpp"

namespace trireme::comm {

/// Figures of a shared-memory transport that is polled by a progress thread.
struct LinkModel {
    double alpha = 20e-6;       ///< seconds a message
    double beta = 1.0 / 4e9;    ///< seconds a byte moved
    double gamma = 1.0 / 10e9;  ///< seconds a byte summed
};

struct Selection {
    Algorithm algorithm = Algorithm::ring;
    std::string reason;  ///< "ring: 812 us against 954 us of halving_doubling", or "pinned"
};

/// `wanted` is what the job asks for; automatic lets the estimate decide.
[[nodiscard]] Selection select(Algorithm wanted, int ranks, Bytes size, const LinkModel& link = {});

/// The list of member `index` by an algorithm that was chosen; `segment` in elements.
[[nodiscard]] StepList all_reduce_steps(Algorithm chosen, int ranks, int index, std::int64_t count,
                                        std::int64_t segment);

}  // namespace trireme::comm
