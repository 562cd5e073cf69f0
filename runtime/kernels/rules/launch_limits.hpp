// What a rewrite may ask about launches that are not planned yet.
#pragma once

#include "runtime/core/strong.hpp"

namespace trireme {

struct LaunchLimits {
    std::int64_t samples = 1;  ///< no launch has more
    Bytes scratch{};           ///< of one launch, at most (job.workspace_mb)
};

}  // namespace trireme
