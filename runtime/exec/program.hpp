// A program: the instructions of one rank for one kind of step, and the lowering that generates them. Pure:
// no device, no MPI, no kernels; the same function serves the executor, the verifier and `inspect`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/exec/instruction.hpp"
#include "runtime/plan/grad_buckets.hpp"
#include "runtime/plan/selection.hpp"

namespace trireme {

struct Program {
    std::vector<Instruction> instructions;
    std::vector<std::int64_t> microbatches;  ///< samples of each
    bool training = true;

    [[nodiscard]] std::int64_t samples() const;
    [[nodiscard]] std::string str(const layers::ModelGraph& graph) const;
};

/// Forward and backward of every micro-batch in turn; each bucket's sum starts as soon as its last gradient
/// is there; one optimizer step at the end. No micro-batches: gradients are cleared and the sums still take
/// place.
[[nodiscard]] Program lower_training(const Selection& selection, const GradBuckets& buckets,
                                     const std::vector<std::int64_t>& microbatches);

/// Forward only, one batch.
[[nodiscard]] Program lower_forward(const Selection& selection, std::int64_t batch);

}  // namespace trireme
