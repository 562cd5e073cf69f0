// Gradient buckets: parameters in reverse forward order, packed into contiguous ranges of one arena, so that
// the gradients that backward finishes first are the first to travel.
//
//      forward   conv1 -> conv2 -> fc1 -> fc2            (backward runs right to left)
//      bucket 0  | fc2.bias | fc2.weight | fc1.bias | fc1.weight |
//      bucket 1  | conv2.bias | conv2.weight | conv1.bias | conv1.weight | status |
//
// A parameter is never split. Each starts at a multiple of 16 elements (64 bytes) and the padding stays zero.
// The last bucket ends with a few status words (loss, samples, found-inf), so that they need no message of
// their own. The same layout holds the parameters and every optimizer state tensor: an update is a walk over
// equal offsets.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/graph.hpp"
#include "runtime/core/strong.hpp"
#include "runtime/core/virtual_shards.hpp"
#include "runtime/plan/status_word.hpp"

namespace trireme {

/// Where one parameter lies, in elements from the start of the arena.
struct ParamPlace {
    layers::ParamId param = -1;
    int bucket = 0;
    std::int64_t offset = 0;
    std::int64_t elements = 0;
};

/// Where the running-statistics sums of a node (batch norm) lie: they are summed with the bucket of its
/// parameters.
struct StatisticsPlace {
    int bucket = 0;
    std::int64_t offset = 0;
    std::int64_t elements = 0;  ///< 0: the node has none
};

struct GradBucket {
    IndexRange range;  ///< elements of the arena, status words included
    std::vector<layers::ParamId> params;
    int ready_count = 0;  ///< weight gradients (one a node and use) that complete it in one micro-batch
};

class GradBuckets {
  public:
    /// Closes a bucket once it holds `bucket_bytes` or more.
    GradBuckets(const layers::ModelGraph& graph, Bytes bucket_bytes);

    [[nodiscard]] const std::vector<GradBucket>& buckets() const { return buckets_; }
    [[nodiscard]] const ParamPlace& place(layers::ParamId param) const {
        return places_.at(static_cast<std::size_t>(param));
    }
    [[nodiscard]] const StatisticsPlace& statistics(layers::NodeId node) const {
        return statistics_.at(static_cast<std::size_t>(node));
    }
    [[nodiscard]] Elements arena_elements() const { return Elements(arena_elements_); }
    [[nodiscard]] std::int64_t status_offset() const { return status_offset_; }
    [[nodiscard]] std::string str(const layers::ModelGraph& graph) const;

  private:
    std::vector<GradBucket> buckets_;
    std::vector<ParamPlace> places_;
    std::vector<StatisticsPlace> statistics_;
    std::int64_t arena_elements_ = 0;
    std::int64_t status_offset_ = 0;
};

/// Bucket size when the job names none: an eighth of the gradients, at least 256 KiB and at most 25 MiB.
[[nodiscard]] Bytes default_bucket_bytes(const layers::ModelGraph& graph);

}  // namespace trireme
