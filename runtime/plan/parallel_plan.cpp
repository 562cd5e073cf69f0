#include "runtime/plan/parallel_plan.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr std::int64_t default_virtual_shards = 8;

ParallelSpec completed(ParallelSpec spec, int world, const layers::ModelGraph& graph) {
    if (spec.data != world) {
        throw ConfigError(
            fmt::format("parallel.data = {} does not fit a world of {} ranks: start mpirun with -n {}, or "
                        "leave parallel.data out",
                        spec.data, world, spec.data));
    }
    if (spec.batch < 1) throw ConfigError(fmt::format("data.batch = {}: must be at least 1", spec.batch));
    if (spec.microbatches < 1)
        throw ConfigError(fmt::format("parallel.microbatches = {}: must be at least 1", spec.microbatches));
    if (spec.virtual_shards == 0)
        spec.virtual_shards = std::max<std::int64_t>(default_virtual_shards, spec.data);
    if (spec.virtual_shards < spec.data) {
        throw ConfigError(fmt::format(
            "parallel.virtual_shards = {} is less than the {} data-parallel ranks: each rank owns at least "
            "one; raise it to {} or start fewer ranks",
            spec.virtual_shards, spec.data, spec.data));
    }
    if (spec.bucket_bytes.value == 0) spec.bucket_bytes = default_bucket_bytes(graph);
    return spec;
}

}  // namespace

std::string_view name_of(StepKind kind) { return kind == StepKind::full ? "full" : "short"; }

ParallelPlan::ParallelPlan(const Selection& selection, const ParallelSpec& spec, int world,
                           std::optional<std::int64_t> samples)
    : selection_(&selection),
      spec_(completed(spec, world, selection.graph())),
      world_(world),
      shards_(samples.value_or(spec_.batch), spec_.batch, spec_.virtual_shards),
      buckets_(selection.graph(), spec_.bucket_bytes),
      has_short_step_(shards_.has_short_step()) {}

std::int64_t ParallelPlan::rank_samples(int rank, StepKind kind) const {
    const IndexRange mine = owned(rank);
    std::int64_t total = 0;
    for (std::int64_t v = mine.begin; v < mine.end; ++v) {
        total += kind == StepKind::full ? shards_.full_leaf(v)
                                        : shards_.leaf(v, shards_.steps_per_epoch() - 1).size();
    }
    return total;
}

std::vector<std::int64_t> ParallelPlan::microbatches(int rank, StepKind kind) const {
    const std::int64_t samples = rank_samples(rank, kind);
    std::vector<std::int64_t> sizes;
    for (std::int64_t m = 0; m < spec_.microbatches; ++m) {
        const std::int64_t size = even_piece(samples, spec_.microbatches, m).size();
        if (size > 0) sizes.push_back(size);
    }
    return sizes;
}

Program ParallelPlan::program(int rank, StepKind kind) const {
    return lower_training(*selection_, buckets_, microbatches(rank, kind));
}

std::string ParallelPlan::str() const {
    std::string text = fmt::format("mesh: data {}\nbatch: {} samples in {} leaves", spec_.data, spec_.batch,
                                   shards_.shards());
    text += fmt::format("\nbuckets ({}):\n", comm::name_of(spec_.algorithm)) +
            buckets_.str(selection_->graph()) + "ranks:\n";
    for (int rank = 0; rank < spec_.data; ++rank) {
        const IndexRange mine = owned(rank);
        text += fmt::format("  rank {}: leaves {}-{}, micro-batches [{}]", rank, mine.begin, mine.end - 1,
                            fmt::join(microbatches(rank, StepKind::full), ", "));
        if (has_short_step_)
            text +=
                fmt::format(", last step [{}]", fmt::join(microbatches(rank, StepKind::short_last), ", "));
        text += '\n';
    }
    return text;
}

MemoryPlan plan_memory(const Program& program, const Selection& selection) {
    return plan_memory(buffers_of(program, selection).lives);
}

}  // namespace trireme
