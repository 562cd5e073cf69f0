// What a step of an asynchronous device reads from device memory beside its nodes and sums: the tables of the
// update, where running statistics lie, orders and judgement, and streams of random numbers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/exec/model_state.hpp"
#include "runtime/optim/running_statistics.hpp"
#include "runtime/optim/update_plan.hpp"
#include "runtime/plan/parallel_plan.hpp"

namespace trireme {

/// Where each node's statistics lie in the arena of gradients.
[[nodiscard]] std::vector<std::int64_t> statistics_offsets(const layers::ModelGraph& graph,
                                                           const GradBuckets& buckets);

/// The update of a device's step. Everything in the arena of gradients is watched: what no rule updates must
/// be finite, too.
[[nodiscard]] UpdatePlan device_update_plan(const OptimizerSpec& optimizer, UpdateTable table,
                                            std::span<const RunningNorm> norms, const LossScaling& scaling);

/// Device memory of all of it.
[[nodiscard]] Bytes step_table_bytes(const ParallelPlan& plan, const OptimizerSpec& optimizer);

}  // namespace trireme
