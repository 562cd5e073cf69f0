// The arithmetic of virtual shards and leaves, the unit of exactness of the runtime.
//
// An epoch's sequence of N samples is cut into L contiguous runs, the virtual shards. Step s takes the next
// samples of each run; those of run v are leaf v of the step. Who owns a run decides who computes its leaves,
// and nothing else: order, leaves and sizes are functions of (N, B, L) alone.
//
//      batch B = 10, L = 4:      leaf sizes 2 3 2 3
//      N samples     |  run 0  |    run 1    |  run 2  |    run 3    |
//      step 0         xx        xxx           xx        xxx
//      step 1           xx         xxx          xx         xxx
//
// Leaf v of a full step has floor(B (v+1) / L) - floor(B v / L) samples, so sizes differ by one at most. With
// C_v the sum of the leaf sizes before v, run v starts at floor(N C_v / B): every step but an epoch's last is
// full, and the last takes what is left (some of its leaves may be empty).
#pragma once

#include <cstdint>

namespace trireme {

/// Contiguous half-open range of positions or of virtual shards.
struct IndexRange {
    std::int64_t begin = 0;
    std::int64_t end = 0;
    [[nodiscard]] std::int64_t size() const { return end - begin; }
    [[nodiscard]] bool empty() const { return begin == end; }
    bool operator==(const IndexRange&) const = default;
};

/// The `index`-th of `parts` contiguous, almost equal pieces of [0, total).
[[nodiscard]] IndexRange even_piece(std::int64_t total, std::int64_t parts, std::int64_t index);

class VirtualShards {
  public:
    /// `samples` N >= 0 of the split, `batch` B >= 1 global samples a step, `shards` L >= 1.
    VirtualShards(std::int64_t samples, std::int64_t batch, std::int64_t shards);

    [[nodiscard]] std::int64_t samples() const { return samples_; }
    [[nodiscard]] std::int64_t batch() const { return batch_; }
    [[nodiscard]] std::int64_t shards() const { return shards_; }
    [[nodiscard]] std::int64_t steps_per_epoch() const { return (samples_ + batch_ - 1) / batch_; }
    /// Positions of run v in the epoch's sequence.
    [[nodiscard]] IndexRange run(std::int64_t v) const;
    /// Samples of leaf v in a full step.
    [[nodiscard]] std::int64_t full_leaf(std::int64_t v) const;
    /// Positions (in the epoch's sequence) of leaf v of step `step_in_epoch`; may be empty in the last step.
    [[nodiscard]] IndexRange leaf(std::int64_t v, std::int64_t step_in_epoch) const;
    /// Samples of the whole step: `batch`, or less in an epoch's last step.
    [[nodiscard]] std::int64_t step_samples(std::int64_t step_in_epoch) const;
    /// True where the last step of an epoch has fewer samples than the batch.
    [[nodiscard]] bool has_short_step() const { return samples_ % batch_ != 0; }
    /// The virtual shards that data-parallel rank `index` of `ranks` owns: a contiguous, almost even piece.
    [[nodiscard]] IndexRange owned_by(std::int64_t index, std::int64_t ranks) const {
        return even_piece(shards_, ranks, index);
    }

  private:
    [[nodiscard]] std::int64_t leaf_prefix(std::int64_t v) const;
    [[nodiscard]] std::int64_t run_begin(std::int64_t v) const;

    std::int64_t samples_;
    std::int64_t batch_;
    std::int64_t shards_;
};

}  // namespace trireme
