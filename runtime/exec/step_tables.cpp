#include "runtime/exec/step_tables.hpp"

#include <utility>

#include "runtime/exec/step_streams.hpp"
#include "runtime/optim/step_state.hpp"

namespace trireme {

std::vector<std::int64_t> statistics_offsets(const layers::ModelGraph& graph, const GradBuckets& buckets) {
    std::vector<std::int64_t> offsets;
    for (std::size_t n = 0; n < graph.nodes().size(); ++n)
        offsets.push_back(buckets.statistics(static_cast<layers::NodeId>(n)).offset);
    return offsets;
}

UpdatePlan device_update_plan(const OptimizerSpec& optimizer, UpdateTable table,
                              std::span<const RunningNorm> norms, const LossScaling& scaling) {
    std::vector<IndexRange> watched = std::move(table.frozen);
    for (const RunningNorm& norm : norms)
        watched.push_back({norm.statistics, norm.statistics + 3 * norm.channels});
    return {optimizer, table.places, table.settings, scaling, watched};
}

Bytes step_table_bytes(const ParallelPlan& plan, const OptimizerSpec& optimizer) {
    const layers::ModelGraph& graph = plan.selection().graph();
    const auto anywhere = [](layers::BufferId) { return std::int64_t{0}; };
    const std::vector<RunningNorm> norms =
        running_norms_of(graph, statistics_offsets(graph, plan.buckets()), anywhere);
    const UpdatePlan update =
        device_update_plan(optimizer, update_table_of(graph, plan.buckets(), optimizer), norms, {});
    const auto own = norms.size() * sizeof(RunningNorm) + sizeof(StepOrders) + sizeof(StepState);
    return update.memory() + Bytes(static_cast<std::int64_t>(own)) + StepStreams::bytes(graph.nodes().size());
}

}  // namespace trireme
