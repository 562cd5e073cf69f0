#include "comm/halving_doubling.hpp"

#include <bit>
#include <vector>

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

/// The ranks that take part in the halving, after the extra ones are folded into a neighbour.
struct Folding {
    int core;   ///< largest power of two <= ranks
    int extra;  ///< pairs (2 i, 2 i + 1), i < extra, in which the odd rank is folded
    [[nodiscard]] bool in_pair(int rank) const { return rank < 2 * extra; }
    [[nodiscard]] int to_core(int rank) const { return in_pair(rank) ? rank / 2 : rank - extra; }
    [[nodiscard]] int to_rank(int member) const { return member < extra ? 2 * member : member + extra; }
};

struct Exchange {
    int partner;      ///< rank
    IndexRange kept;  ///< what I hold after halving
    IndexRange given;
};

std::vector<Exchange> halve(const Folding& folding, int me, std::int64_t count) {
    std::vector<Exchange> exchanges;
    IndexRange held{0, count};
    for (int bit = 1; bit < folding.core; bit *= 2) {
        const std::int64_t middle = held.begin + held.size() / 2;
        const IndexRange first{held.begin, middle};
        const IndexRange second{middle, held.end};
        const bool keeps_first = (me & bit) == 0;
        exchanges.push_back(
            {folding.to_rank(me ^ bit), keeps_first ? first : second, keeps_first ? second : first});
        held = exchanges.back().kept;
    }
    return exchanges;
}

}  // namespace

StepList halving_doubling_all_reduce(int ranks, int index, std::int64_t count, std::int64_t segment) {
    ensure(ranks >= 1 && index >= 0 && index < ranks && count >= 0, "halving: member 0 <= index < ranks");
    StepList steps;
    if (ranks == 1 || count == 0) return steps;
    const int core = static_cast<int>(std::bit_floor(static_cast<unsigned>(ranks)));
    const Folding folding{core, ranks - core};
    const IndexRange all{0, count};
    const IndexRange none{0, 0};
    if (folding.in_pair(index) && index % 2 == 1) {
        append_exchange(steps, all, index - 1, none, -1, Verb::recv, segment);
        append_exchange(steps, none, -1, all, index - 1, Verb::recv, segment);
        return steps;
    }
    if (folding.in_pair(index)) append_exchange(steps, none, -1, all, index + 1, Verb::recv_reduce, segment);
    const std::vector<Exchange> exchanges = halve(folding, folding.to_core(index), count);
    for (const Exchange& e : exchanges) {
        append_exchange(steps, e.given, e.partner, e.kept, e.partner, Verb::recv_reduce, segment);
    }
    for (auto e = exchanges.rbegin(); e != exchanges.rend(); ++e) {
        append_exchange(steps, e->kept, e->partner, e->given, e->partner, Verb::recv, segment);
    }
    if (folding.in_pair(index)) append_exchange(steps, all, index + 1, none, -1, Verb::recv, segment);
    return steps;
}

}  // namespace trireme::comm
