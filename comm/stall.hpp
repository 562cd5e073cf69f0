// Who is at fault when ranks wait too long: a pure function of what the ranks answered. Each rank that
// answers says whom its oldest open collective waits for; following these edges from the rank that asked
// leads to the culprit, past all ranks that are merely victims:
//
//     0 (asks) --> 3 --> 2 --> 1 (does not answer)              DEAD: rank 1
//     0 (asks) --> 3 --> 2 (has not entered, phase data)        MISSING, or SLOW where it still moves
//     0 and 2 entered "#7 of 100 f32", 1 entered "#7 of 96"     MISMATCH: rank 1, the smaller side
//     all entered, all answer, nobody is missing                SLOW: the one that got least far
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "comm/communicator.hpp"

namespace trireme::comm {

/// What one rank answers when it is asked.
struct RankReport {
    bool answered = false;
    std::string host;
    std::string phase;
    std::string instruction;
    std::uint64_t changes = 0;   ///< how often the rank changed its state or moved a collective on
    std::uint64_t entered = 0;   ///< collectives that the rank has called
    bool waiting = false;        ///< it has an open collective
    std::uint64_t sequence = 0;  ///< of its oldest open collective
    std::string collective;      ///< label and fingerprint of that one
    std::int64_t steps = 0;      ///< how many of its steps are executed
    std::vector<int> waits_for;  ///< world ranks
    std::string
        asked;  ///< fingerprint that it has for the sequence asked about; empty: not entered (or long ago)
};

struct StallQuestion {
    int asker = 0;
    std::uint64_t sequence = 0;  ///< the asker's oldest open collective
    double waited = 0;           ///< seconds
};

/// `first` and `second` are the reports of all ranks at the start and at the end of the verdict window.
[[nodiscard]] Verdict judge(const StallQuestion& question, const std::vector<RankReport>& first,
                            const std::vector<RankReport>& second);
/// True when the answers hold a mismatch, which further waiting cannot mend.
[[nodiscard]] bool shows_mismatch(const std::vector<RankReport>& reports);

}  // namespace trireme::comm
