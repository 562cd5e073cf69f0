#include "runtime/plan/memory_plan.hpp"

#include <algorithm>
#include <numeric>

namespace trireme {
namespace {

constexpr std::int64_t alignment = 64;

std::int64_t aligned(Bytes size) { return (size.value + alignment - 1) / alignment * alignment; }

bool alive_together(const BufferLife& a, const BufferLife& b) {
    return a.first <= b.last && b.first <= a.last;
}

std::int64_t lower_bound_of(const std::vector<BufferLife>& buffers) {
    std::int64_t bound = 0;
    for (const BufferLife& at : buffers) {  // the sum can only rise where some buffer begins
        std::int64_t alive = 0;
        for (const BufferLife& other : buffers) {
            if (other.first <= at.first && at.first <= other.last) alive += aligned(other.size);
        }
        bound = std::max(bound, alive);
    }
    return bound;
}

}  // namespace

MemoryPlan plan_memory(std::vector<BufferLife> buffers) {
    std::vector<std::size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return buffers[a].size > buffers[b].size; });

    MemoryPlan plan;
    plan.offsets.resize(buffers.size());
    std::vector<std::size_t> placed;  // by offset
    for (std::size_t next : order) {
        const std::int64_t size = aligned(buffers[next].size);
        std::int64_t offset = 0;
        for (std::size_t other : placed) {
            if (!alive_together(buffers[next], buffers[other])) continue;
            if (offset + size <= plan.offsets[other].value) break;
            offset = std::max(offset, plan.offsets[other].value + aligned(buffers[other].size));
        }
        plan.offsets[next] = Bytes(offset);
        plan.size = std::max(plan.size, Bytes(offset + size));
        const auto where = std::upper_bound(
            placed.begin(), placed.end(), offset,
            [&](std::int64_t at, std::size_t other) { return at < plan.offsets[other].value; });
        placed.insert(where, next);
    }
    plan.lower_bound = Bytes(lower_bound_of(buffers));
    plan.buffers = std::move(buffers);
    return plan;
}

}  // namespace trireme
