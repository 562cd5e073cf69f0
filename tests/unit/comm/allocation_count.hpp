// Counts the allocations of the test program, by replacing operator new.
#pragma once

#include <cstdint>

namespace trireme::comm {

[[nodiscard]] std::int64_t allocations_so_far();

}  // namespace trireme::comm
