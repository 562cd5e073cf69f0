// Activations that are computed again instead of kept. The forward program is cut into segments; only what
// crosses a cut stays in memory between forward and backward, and all inside a segment is computed a second
// time just before the segment's backward (Chen and others, "Training Deep Nets with Sublinear Memory Cost",
// 2016).
//
//      forward    | seg 0 | seg 1 | seg 2 |
//      backward                   | seg 2 | again 1, seg 1 | again 0, seg 0 |
//
// The last segment's backward follows its forward at once, so nothing of it is computed twice: at most one
// more forward in all. Kernels are the same and random numbers are keyed by what is computed, so results do
// not change by a bit.
//
// A segment ends only where a single tensor crosses (the end of a residual block, of a transformer block), so
// that a cut keeps little.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/plan/selection.hpp"

namespace trireme {

class Segments {
  public:
    /// One segment: everything is kept.
    Segments() = default;
    /// Cuts into `count` segments of about equal activation memory. Throws ConfigError where the network has
    /// too few places to cut.
    Segments(const Selection& selection, std::int64_t count);

    /// The most segments that a network can have.
    [[nodiscard]] static std::int64_t most(const Selection& selection);

    [[nodiscard]] int count() const { return count_; }
    [[nodiscard]] int of(layers::NodeId node) const {
        return of_.empty() ? 0 : of_.at(static_cast<std::size_t>(node));
    }
    /// True for nodes whose activations are not kept.
    [[nodiscard]] bool dropped(layers::NodeId node) const { return of(node) + 1 < count_; }
    /// Which computation of `tensor` the backward of `node`, and what is computed again for it, reads and
    /// writes: 0, the forward's own, or 1, the one made again.
    [[nodiscard]] int pass(layers::NodeId node, layers::TensorId tensor) const;

    /// The last node of each segment and the share of the forward's operations that is computed twice.
    [[nodiscard]] std::string str(const layers::ModelGraph& graph) const;

  private:
    int count_ = 1;
    std::vector<int> of_;                   ///< segment of each node; empty: one segment
    std::vector<layers::NodeId> producer_;  ///< of each tensor's root; -1 for the model's own ends
};

/// Nodes of `segment` that must run again before its backward on micro-batches of `batch` samples: those with
/// state of their own for backward, those whose output some backward reads, and what these are made from.
/// In forward order.
[[nodiscard]] std::vector<layers::NodeId> computed_again(const Selection& selection, const Segments& segments,
                                                         int segment, std::int64_t batch);

}  // namespace trireme
