// What our own CUDA kernels need for each op, and where the parts of a node's memory lie: one plan a family,
// made by the rules (which only tell the needs) and by the kernels (which launch by it). Host only.
#pragma once

#include "runtime/core/alignment.hpp"
#include "runtime/kernels/cuda/bodies/tiling.hpp"
#include "runtime/kernels/kernel_rules.hpp"
#include "runtime/kernels/node_view.hpp"

namespace trireme::cuda {

/// Parts of one piece of memory, each at a multiple of 64 bytes.
class PartLayout {
  public:
    /// Offset of a part of `count` values.
    template <class T>
    [[nodiscard]] std::int64_t take(std::int64_t count) {
        const std::int64_t at = total_;
        total_ += aligned(Bytes(count * static_cast<std::int64_t>(sizeof(T)))).value;
        return at;
    }
    [[nodiscard]] Bytes total() const { return Bytes(total_); }

  private:
    std::int64_t total_ = 0;
};

struct NodePlan {
    NodeRules rules;
};

/// Sums over the rows of a matrix, whose partial sums lie in the scratch.
struct ColumnPlan : NodePlan {
    Tiling tiling;
};

struct BatchNormPlan : NodePlan {
    Tiling tiling;
    std::int64_t mask_row_bytes = 0;
    /// Parts of `saved`: [channels] floats each, and the relu's mask.
    std::int64_t mean = 0;
    std::int64_t inverse_deviation = 0;
    std::int64_t sum = 0;
    std::int64_t product = 0;
    std::int64_t mask = 0;
};

struct SortPlan : NodePlan {
    std::int64_t positions = 0;
    std::int64_t chunks = 0;
    int passes = 0;
    /// Parts of the scratch: two lists of occurrences in turn, the places of digits, and parts of sums.
    std::int64_t symbols[2] = {};
    std::int64_t places[2] = {};
    std::int64_t offsets = 0;
    std::int64_t parts = 0;
    std::int64_t piece = 0;  ///< places of a piece of the sorted list
    [[nodiscard]] std::int64_t pieces() const { return (positions + piece - 1) / piece; }
};

[[nodiscard]] NodePlan plan_of(const layers::Relu&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Tanh&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Sigmoid&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Gelu&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Add&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Concat&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Dropout&, const NodeView& view);
[[nodiscard]] ColumnPlan plan_of(const layers::Bias&, const NodeView& view);
[[nodiscard]] ColumnPlan plan_of(const layers::PositionEmbedding&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::Pool2d& op, const NodeView& view);
[[nodiscard]] ColumnPlan plan_of(const layers::GlobalAveragePool&, const NodeView& view);
[[nodiscard]] BatchNormPlan plan_of(const layers::BatchNorm& op, const NodeView& view);
[[nodiscard]] ColumnPlan plan_of(const layers::LayerNorm&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::SoftmaxCrossEntropy&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::BceWithLogits&, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::MeanSquaredError&, const NodeView& view);
[[nodiscard]] SortPlan plan_of(const layers::Embedding& op, const NodeView& view);
[[nodiscard]] NodePlan plan_of(const layers::CausalSelfAttention& op, const NodeView& view);
[[nodiscard]] ColumnPlan plan_of(const layers::Linear& op, const NodeView& view);

}  // namespace trireme::cuda
