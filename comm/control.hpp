// The control messages of failure handling and their text form (JSON, at most max_control_bytes; long reasons
// are shortened). What arrives is checked: a text that is no message of ours is ignored, never trusted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "comm/communicator.hpp"
#include "comm/stall.hpp"

namespace trireme::comm {

enum class ControlKind {
    announce,  ///< the sender has failed, or has a verdict
    settled,   ///< the job has failed with `verdict`, and rank `number` speaks
    query,     ///< round `round`: what do you wait for, and what is your collective `number`?
    report     ///< the answer to round `round`
};

struct Control {
    ControlKind kind = ControlKind::announce;
    std::uint64_t number = 0;
    int round = 0;
    Verdict verdict;
    RankReport report;
};

[[nodiscard]] std::string encode(const Control& control);
[[nodiscard]] std::optional<Control> decode(std::string_view text);

}  // namespace trireme::comm
