// Strong integer types: an element count is no byte count, a rank no stage. The compiler tells the
// difference.
#pragma once

#include <compare>
#include <cstdint>

namespace trireme {

template <class Tag, class Rep>
struct Strong {
    Rep value{};

    constexpr Strong() = default;
    constexpr explicit Strong(Rep v) : value(v) {}
    constexpr auto operator<=>(const Strong&) const = default;

    constexpr Strong& operator+=(Strong other) {
        value += other.value;
        return *this;
    }
    constexpr Strong& operator-=(Strong other) {
        value -= other.value;
        return *this;
    }
    friend constexpr Strong operator+(Strong a, Strong b) { return Strong(a.value + b.value); }
    friend constexpr Strong operator-(Strong a, Strong b) { return Strong(a.value - b.value); }
    friend constexpr Strong operator*(Strong a, Rep k) { return Strong(a.value * k); }
};

/// A process of the job, 0 to world - 1.
using Rank = Strong<struct RankTag, int>;
/// A micro-batch of a step, counted from 0.
using Microbatch = Strong<struct MicrobatchTag, int>;
/// A training step, counted from 0 over the whole job.
using Step = Strong<struct StepTag, std::int64_t>;
/// A count of elements (of whatever dtype stands beside it).
using Elements = Strong<struct ElementsTag, std::int64_t>;
/// A count of bytes.
using Bytes = Strong<struct BytesTag, std::int64_t>;

}  // namespace trireme
