#include "comm/lane.hpp"

#include "comm/collective_table.hpp"
#include "comm/collective_task.hpp"

namespace trireme::comm {

std::int64_t staging_bytes(std::int64_t segment_bytes) {
    return segment_bytes * slots_per_task * static_cast<std::int64_t>(played_at_once);
}

}  // namespace trireme::comm
