#include "comm/select.hpp"

#include <bit>

#include <fmt/format.h>

#include "comm/halving_doubling.hpp"
#include "comm/ring.hpp"

namespace trireme::comm {

std::string_view name_of(Algorithm a) {
    switch (a) {
        case Algorithm::automatic:
            return "automatic";
        case Algorithm::ring:
            return "ring";
        case Algorithm::halving_doubling:
            return "halving_doubling";
    }
    return "?";
}

Selection select(Algorithm wanted, int ranks, Bytes size, const LinkModel& link) {
    if (wanted != Algorithm::automatic) return {wanted, "pinned"};
    const double n = ranks;
    const auto core = std::bit_floor(static_cast<unsigned>(ranks));
    const double p = core;
    const double log_p = std::bit_width(core) - 1;
    const auto bytes = static_cast<double>(size.value);
    const double ring = 2 * (n - 1) * link.alpha + 2 * bytes * (n - 1) / n * link.beta;
    double halving = 2 * log_p * link.alpha + bytes * (p - 1) / p * (2 * link.beta + link.gamma);
    if (n > p) halving += 2 * link.alpha + bytes * (2 * link.beta + link.gamma);
    const bool ring_wins = ring <= halving;
    const Algorithm best = ring_wins ? Algorithm::ring : Algorithm::halving_doubling;
    const Algorithm other = ring_wins ? Algorithm::halving_doubling : Algorithm::ring;
    return {best, fmt::format("{}: {:.0f} us against {:.0f} us of {}", name_of(best),
                              (ring_wins ? ring : halving) * 1e6, (ring_wins ? halving : ring) * 1e6,
                              name_of(other))};
}

StepList all_reduce_steps(Algorithm chosen, int ranks, int index, std::int64_t count, std::int64_t segment) {
    return chosen == Algorithm::ring ? ring_all_reduce(ranks, index, count, segment)
                                     : halving_doubling_all_reduce(ranks, index, count, segment);
}

}  // namespace trireme::comm
