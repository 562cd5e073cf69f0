#include "runtime/plan/memory_plan.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "runtime/core/alignment.hpp"

namespace trireme {
namespace {

/// Limits of the search for a better placement, in tries and in pairs of buffers compared.
constexpr std::int64_t most_rounds = 200;
constexpr std::int64_t comparisons = 30'000'000;

bool alive_together(const BufferLife& a, const BufferLife& b) {
    return a.first <= b.last && b.first <= a.last;
}

/// Offsets of all buffers, and the end of the highest.
struct Placement {
    std::vector<Bytes> offsets;
    Bytes size{};
    std::size_t highest = 0;  ///< the buffer that ends there
};

/// Buffers in the given order, each at the lowest offset that is free for its whole life.
Placement place(const std::vector<BufferLife>& buffers, const std::vector<std::size_t>& order) {
    Placement placement;
    placement.offsets.resize(buffers.size());
    std::vector<std::size_t> placed;  // by offset
    placed.reserve(buffers.size());
    for (std::size_t next : order) {
        const Bytes size = aligned(buffers[next].size);
        Bytes offset{};
        for (std::size_t other : placed) {
            if (!alive_together(buffers[next], buffers[other])) continue;
            if (offset + size <= placement.offsets[other]) break;
            offset = std::max(offset, placement.offsets[other] + aligned(buffers[other].size));
        }
        placement.offsets[next] = offset;
        if (offset + size > placement.size) {
            placement.size = offset + size;
            placement.highest = next;
        }
        const auto where =
            std::upper_bound(placed.begin(), placed.end(), offset,
                             [&](Bytes at, std::size_t other) { return at < placement.offsets[other]; });
        placed.insert(where, next);
    }
    return placement;
}

/// Orders that each suit other mixes of lives: large buffers first, long-lived ones first, those that take
/// the most of memory and time first.
std::vector<std::vector<std::size_t>> orders_of(const std::vector<BufferLife>& buffers) {
    const auto length = [&](std::size_t i) {
        return static_cast<std::int64_t>(buffers[i].last - buffers[i].first) + 1;
    };
    const auto size = [&](std::size_t i) { return buffers[i].size.value; };
    std::vector<std::size_t> as_given(buffers.size());
    std::iota(as_given.begin(), as_given.end(), std::size_t{0});
    std::vector<std::vector<std::size_t>> orders(3, as_given);
    std::stable_sort(orders[0].begin(), orders[0].end(),
                     [&](std::size_t a, std::size_t b) { return size(a) > size(b); });
    std::stable_sort(orders[1].begin(), orders[1].end(), [&](std::size_t a, std::size_t b) {
        return std::pair(length(a), size(a)) > std::pair(length(b), size(b));
    });
    std::stable_sort(orders[2].begin(), orders[2].end(), [&](std::size_t a, std::size_t b) {
        return static_cast<double>(size(a)) * static_cast<double>(length(a)) >
               static_cast<double>(size(b)) * static_cast<double>(length(b));
    });
    return orders;
}

/// Improves a placement by giving the buffer that ends highest its turn earlier, again and again.
Placement improved(const std::vector<BufferLife>& buffers, std::vector<std::size_t> order, Bytes bound) {
    Placement now = place(buffers, order);
    Placement best = now;
    const auto n = static_cast<std::int64_t>(buffers.size());
    const std::int64_t rounds = std::min(most_rounds, comparisons / (n * n + 1));
    for (std::int64_t round = 0; round < rounds && best.size > bound; ++round) {
        const auto where = std::find(order.begin(), order.end(), now.highest);
        // In larger steps from round to round, so that the same few buffers do not change places for ever.
        const auto back = std::min<std::ptrdiff_t>(where - order.begin(), 1 + round);
        if (back == 0) break;
        std::rotate(where - back, where, where + 1);
        now = place(buffers, order);
        if (now.size < best.size) best = now;
    }
    return best;
}

}  // namespace

Bytes arena_lower_bound(const std::vector<BufferLife>& buffers) {
    int end = 0;
    for (const BufferLife& buffer : buffers) end = std::max(end, buffer.last + 1);
    std::vector<Bytes> change(static_cast<std::size_t>(end) + 1);  // of what is alive, by instruction
    for (const BufferLife& buffer : buffers) {
        change[static_cast<std::size_t>(buffer.first)] += aligned(buffer.size);
        change[static_cast<std::size_t>(buffer.last) + 1] -= aligned(buffer.size);
    }
    Bytes alive{};
    Bytes bound{};
    for (const Bytes step : change) bound = std::max(bound, alive += step);
    return bound;
}

MemoryPlan plan_memory(std::vector<BufferLife> buffers) {
    MemoryPlan plan;
    plan.lower_bound = arena_lower_bound(buffers);
    if (!buffers.empty()) {
        std::optional<Placement> best;
        for (std::vector<std::size_t>& order : orders_of(buffers)) {
            if (best && best->size == plan.lower_bound) break;
            Placement placement = improved(buffers, std::move(order), plan.lower_bound);
            if (!best || placement.size < best->size) best = std::move(placement);
        }
        plan.offsets = std::move(best->offsets);
        plan.size = best->size;
    }
    plan.buffers = std::move(buffers);
    return plan;
}

}  // namespace trireme
