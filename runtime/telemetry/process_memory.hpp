// What the process itself uses, as the system counts it.
#pragma once

#include "runtime/core/strong.hpp"

namespace trireme {

/// The largest resident size so far.
[[nodiscard]] Bytes peak_resident_memory();

}  // namespace trireme
