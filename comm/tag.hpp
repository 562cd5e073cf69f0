// Message tags. Collectives that are under way at the same time never share one, so that their messages
// cannot cross; and ranks that disagree about a collective (another count, say) get different tags, so that
// wrong data is never taken for right data: such a collective stalls, and the stall is explained.
//
//     bit   27      26 ... 21    20 ...... 9     8 ......... 0
//           data    group id     sequence        fingerprint hash
//           1       6 bits       12 bits         9 bits
//
// The highest bit of the group id marks answers (peer_messages.hpp): groups have ids below 32.
//
// Control messages have the tag 0. MPI promises tags to 32,767 only; Open MPI, MPICH and libfabric give at
// least 2^28, and MpiTransport checks that at the start.
#pragma once

#include <cstdint>

#include "runtime/core/error.hpp"

namespace trireme::comm {

struct Tag {
    static constexpr int fingerprint_bits = 9;
    static constexpr int sequence_bits = 12;
    static constexpr int group_bits = 6;
    static constexpr int most_groups = 1 << (group_bits - 1);
    static constexpr int control = 0;
    static constexpr int largest = (1 << (1 + group_bits + sequence_bits + fingerprint_bits)) - 1;
    /// Collectives of one group that may be open at once: two of them are never 2^12 apart.
    static constexpr std::uint64_t open_collectives = 1U << (sequence_bits - 1);

    int group = 0;
    std::uint64_t sequence = 0;  ///< only its low bits travel
    std::uint64_t hash = 0;      ///< only its low bits travel

    [[nodiscard]] int pack() const {
        ensure(group >= 0 && group < most_groups, "a group id is below 32");
        const std::uint64_t low_sequence = sequence & ((1U << sequence_bits) - 1);
        const std::uint64_t low_hash = hash & ((1U << fingerprint_bits) - 1);
        return static_cast<int>(
            (((((1U << group_bits) | static_cast<std::uint64_t>(group)) << sequence_bits) | low_sequence)
             << fingerprint_bits) |
            low_hash);
    }
    bool operator==(const Tag&) const = default;
};

/// The tag of the answer to a message with a packed data tag.
[[nodiscard]] constexpr int answer_tag(int packed) {
    return packed | (Tag::most_groups << (Tag::sequence_bits + Tag::fingerprint_bits));
}

/// The fields of a packed data tag.
[[nodiscard]] constexpr Tag unpack_tag(int packed) {
    const auto bits = static_cast<std::uint64_t>(packed);
    Tag tag;
    tag.hash = bits & ((1U << Tag::fingerprint_bits) - 1);
    tag.sequence = (bits >> Tag::fingerprint_bits) & ((1U << Tag::sequence_bits) - 1);
    tag.group = static_cast<int>((bits >> (Tag::fingerprint_bits + Tag::sequence_bits)) &
                                 ((1U << Tag::group_bits) - 1));
    return tag;
}

}  // namespace trireme::comm
