// Measures which plan of a graph is fastest on the GPU at hand, on memory of its own: nothing that a job has
// is touched. Rank 0 tunes when the ranks have met, and its cache goes to all of them (PlannedJob::tune),
// since measurements differ from rank to rank.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/kernels/rules/cudnn_graphs.hpp"
#include "runtime/kernels/rules/plan_cache.hpp"

namespace trireme::cudnn {

struct TuningEffort {
    std::size_t plans = 8;                     ///< of each graph, in the library's order of preference
    std::size_t runs = 2 * least_tuning_runs;  ///< of each plan, of some launches each
};

struct TuningResult {
    int measured = 0;  ///< graphs
    int known = 0;     ///< graphs that the cache knew
    int skipped = 0;   ///< graphs that no plan ran, or whose memory was not to be had
};

/// The environment of the current device.
[[nodiscard]] PlanEnvironment plan_environment();

/// What the file of plan_cache_path() holds, for the current device. A damaged file is told and passed over.
[[nodiscard]] std::shared_ptr<PlanCache> measured_plans();

/// Puts into the cache, which is this device's, the fastest plan of each graph that it lacks. `sm`: compute
/// capability times ten. Throws DeviceError where the GPU or cuDNN is missing; a plan that fails is left out.
TuningResult tune(std::span<const GraphSpec> graphs, int sm, PlanCache& cache,
                  const TuningEffort& effort = {});

/// The same, which tells how long it takes and writes what is new into the file of plan_cache_path(). Where
/// that fails it is told, and the next job measures again.
void tune_and_keep(std::span<const GraphSpec> graphs, int sm, PlanCache& cache);

}  // namespace trireme::cudnn
