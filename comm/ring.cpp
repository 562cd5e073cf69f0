#include "comm/ring.hpp"

#include <algorithm>

#include "runtime/core/error.hpp"

namespace trireme::comm {
namespace {

struct RingPlace {
    int ranks;
    int index;
    [[nodiscard]] int left() const { return (index + ranks - 1) % ranks; }
    [[nodiscard]] int right() const { return (index + 1) % ranks; }
    /// The chunk that I handle at `stage`: my own at stage 0, then what comes from the left.
    [[nodiscard]] int chunk_at(int stage) const { return (index + 2 * ranks - stage) % ranks; }
};

Verb all_reduce_verb(int stage, int ranks) {
    if (stage == 0) return Verb::send;
    if (stage <= ranks - 2) return Verb::recv_reduce_send;
    if (stage == ranks - 1) return Verb::recv_reduce_copy_send;
    return stage == 2 * ranks - 2 ? Verb::recv : Verb::recv_copy_send;
}

void append(StepList& steps, const RingPlace& place, Verb verb, IndexRange range) {
    if (range.empty()) return;
    steps.push_back({verb, range.begin, range.size(), receives(verb) ? place.left() : -1,
                     sends(verb) ? place.right() : -1});
}

}  // namespace

StepList ring_all_reduce(int ranks, int index, std::int64_t count, std::int64_t segment) {
    ensure(ranks >= 1 && index >= 0 && index < ranks && count >= 0, "ring: member 0 <= index < ranks");
    StepList steps;
    if (ranks == 1 || count == 0) return steps;
    const RingPlace place{ranks, index};
    // All chunks are cut in the same number of segments, that of the largest, so that segments correspond.
    const std::int64_t parts = segments_of((count + ranks - 1) / ranks, segment);
    const int last_stage = 2 * ranks - 2;
    const auto stage_of_batch = [&](std::int64_t batch, int stage) {
        const IndexRange chunk = even_piece(count, ranks, place.chunk_at(stage));
        const std::int64_t end = std::min(parts, (batch + 1) * stream_depth);
        for (std::int64_t s = batch * stream_depth; s < end; ++s) {
            append(steps, place, all_reduce_verb(stage, ranks), segment_of(chunk, parts, s));
        }
    };
    const std::int64_t batches = (parts + stream_depth - 1) / stream_depth;
    stage_of_batch(0, 0);
    for (std::int64_t batch = 0; batch < batches; ++batch) {
        for (int stage = 1; stage < last_stage; ++stage) stage_of_batch(batch, stage);
        if (batch + 1 < batches) stage_of_batch(batch + 1, 0);
        stage_of_batch(batch, last_stage);
    }
    return steps;
}

StepList ring_all_gather(int index, std::span<const std::int64_t> pieces, std::int64_t segment) {
    const int ranks = static_cast<int>(pieces.size());
    ensure(index >= 0 && index < ranks, "ring: member 0 <= index < ranks");
    std::vector<IndexRange> places;
    std::int64_t begin = 0;
    for (const std::int64_t size : pieces) {
        places.push_back({begin, begin + size});
        begin += size;
    }
    StepList steps;
    if (ranks == 1) return steps;
    const RingPlace place{ranks, index};
    for (int stage = 0; stage < ranks; ++stage) {
        const Verb verb = stage == 0 ? Verb::send : stage == ranks - 1 ? Verb::recv : Verb::recv_copy_send;
        const IndexRange piece = places.at(static_cast<std::size_t>(place.chunk_at(stage)));
        for (const IndexRange& part : cut(piece, segment)) append(steps, place, verb, part);
    }
    return steps;
}

}  // namespace trireme::comm
