// A collective as data: for one rank, a list of steps in seven verbs (the verbs of NCCL's ring, see its
// src/device/all_reduce.h). Algorithms are pure functions that make such lists; simulate.hpp proves them, and
// collective_task.hpp plays them over any transport.
//
// With x the elements [offset, offset + count) of my buffer and m the message of `count` elements:
//
//     send                    x -> to
//     recv_reduce             from -> m;   x := x + m
//     recv_reduce_send        from -> m;   x + m -> to              (x itself stays: only the sum moves on)
//     recv_reduce_copy_send   from -> m;   x := x + m;   x -> to
//     recv_copy_send          from -> m;   x := m;       x -> to
//     recv                    from -> m;   x := m
//     add                     x := x + y, y being `count` elements of my buffer from `source` on: no message
//
// (`add` is not of NCCL's: a tree that is evaluated by one rank adds sums that it has received both.)
//
// Steps are played in order. A send goes on by itself once it is issued; a step that would overwrite what an
// unfinished send still reads waits for that send. Messages between two ranks are matched in list order.
// Sums are formed in list order alone, so the result does not depend on timing.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/strong.hpp"
#include "runtime/core/virtual_shards.hpp"

namespace trireme::comm {

enum class Verb : std::uint8_t {
    send,
    recv_reduce,
    recv_reduce_send,
    recv_reduce_copy_send,
    recv_copy_send,
    recv,
    add
};

struct Step {
    Verb verb = Verb::send;
    std::int64_t offset = 0;  ///< elements
    std::int64_t count = 0;   ///< elements
    int from = -1;            ///< group index of the peer, -1 where the verb does not receive
    int to = -1;              ///< group index of the peer, -1 where the verb does not send
    std::int64_t source = 0;  ///< elements; of `add` only
    bool operator==(const Step&) const = default;
};

using StepList = std::vector<Step>;

/// Elements of my buffer that a step sends, stores, or adds to; none are touched but these ...
[[nodiscard]] constexpr IndexRange range_of(const Step& s) { return {s.offset, s.offset + s.count}; }
/// ... and the second operand of `add`.
[[nodiscard]] constexpr IndexRange source_of(const Step& s) { return {s.source, s.source + s.count}; }

[[nodiscard]] constexpr bool receives(Verb v) { return v != Verb::send && v != Verb::add; }
[[nodiscard]] constexpr bool sends(Verb v) {
    return v != Verb::recv && v != Verb::recv_reduce && v != Verb::add;
}
[[nodiscard]] constexpr bool reduces(Verb v) {
    return v == Verb::recv_reduce || v == Verb::recv_reduce_send || v == Verb::recv_reduce_copy_send;
}
/// True when the verb changes my buffer.
[[nodiscard]] constexpr bool stores(Verb v) { return v != Verb::send && v != Verb::recv_reduce_send; }
/// True when what the verb receives can land in my buffer at once.
[[nodiscard]] constexpr bool lands(Verb v) { return v == Verb::recv || v == Verb::recv_copy_send; }
[[nodiscard]] std::string_view name_of(Verb v);

[[nodiscard]] Elements sent_by(const StepList& steps);
[[nodiscard]] Elements received_by(const StepList& steps);
/// One line a step: "recv_reduce_send [128, 256) from 3 to 1".
[[nodiscard]] std::string str(const Step& step);
[[nodiscard]] std::string str(const StepList& steps);

/// Messages of one stream that are kept under way at once; a receiver posts as many receives ahead.
inline constexpr int stream_depth = 4;

/// How many segments a chunk of `count` elements is cut in: as few as `segment` allows, but two at least once
/// the chunk is larger than a quarter of a segment, so that one is in flight while the other is summed.
[[nodiscard]] std::int64_t segments_of(std::int64_t count, std::int64_t segment);
/// Segment `index` of `parts` of a chunk; empty where the chunk has fewer elements than parts.
[[nodiscard]] IndexRange segment_of(IndexRange chunk, std::int64_t parts, std::int64_t index);
/// A range cut for one stream; no empty segments.
[[nodiscard]] std::vector<IndexRange> cut(IndexRange range, std::int64_t segment);

/// Sends `out` to `to` while receiving `in` from `from` by `verb` (recv or recv_reduce), segment by segment
/// and with at most `stream_depth` sends ahead of the receives. Either range may be empty.
void append_exchange(StepList& steps, IndexRange out, int to, IndexRange in, int from, Verb verb,
                     std::int64_t segment);

}  // namespace trireme::comm
