// A program: the instructions of one rank for one kind of step, and the lowering that generates them. Pure:
// no device, no MPI, no kernels; the same function serves the executor, the verifier and `inspect`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/leaf_tree.hpp"
#include "runtime/exec/instruction.hpp"
#include "runtime/plan/grad_buckets.hpp"
#include "runtime/plan/recompute.hpp"
#include "runtime/plan/selection.hpp"

namespace trireme {

/// A rank's share of a step.
struct StepShape {
    std::vector<std::int64_t> microbatches;  ///< samples of each
    std::int64_t first_position = 0;         ///< place in the global batch of the rank's first sample
    /// Canonical mode: how the sums of leaves are formed; micro-batch i is the i-th leaf that it computes.
    /// Fast mode: none, and later micro-batches are added to the first.
    std::optional<LeafSchedule> leaves;
    Segments segments;  ///< what is computed again in backward
};

struct Program {
    std::vector<Instruction> instructions;
    std::vector<std::int64_t> microbatches;  ///< samples of each
    std::int64_t first_position = 0;         ///< place in the global batch of the first sample
    bool training = true;
    Segments segments;

    [[nodiscard]] std::int64_t samples() const;
    /// The first micro-batch of the size of `mb`: they share the compute copies of weights.
    [[nodiscard]] Microbatch first_like(Microbatch mb) const;
    [[nodiscard]] std::string str(const layers::ModelGraph& graph) const;
};

/// Forward and backward of every micro-batch in turn; each bucket's sum starts as soon as its last gradient
/// is there; one optimizer step at the end. No micro-batches: gradients are cleared and the sums still take
/// place.
[[nodiscard]] Program lower_training(const Selection& selection, const GradBuckets& buckets,
                                     const StepShape& shape);

/// Forward only, one batch.
[[nodiscard]] Program lower_forward(const Selection& selection, std::int64_t batch);

}  // namespace trireme
