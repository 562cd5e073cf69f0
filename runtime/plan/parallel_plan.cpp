#include "runtime/plan/parallel_plan.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr std::int64_t default_virtual_shards = 8;

/// The largest of `parts` almost equal pieces.
std::int64_t largest_piece(std::int64_t total, std::int64_t parts) {
    const std::int64_t count = std::max<std::int64_t>(1, parts);
    return (total + count - 1) / count;
}

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
    spec.virtual_shards = leaves_of(spec);
    if (spec.virtual_shards < spec.data) {
        throw ConfigError(fmt::format(
            "parallel.virtual_shards = {} is less than the {} data-parallel ranks: each rank owns at least "
            "one; raise it to {} or start fewer ranks",
            spec.virtual_shards, spec.data, spec.data));
    }
    if (spec.canonical && spec.microbatches > 1) {
        throw ConfigError(fmt::format(
            "parallel.microbatches = {}: canonical mode runs leaf by leaf already; remove the key, or "
            "raise parallel.virtual_shards for smaller leaves",
            spec.microbatches));
    }
    if (spec.canonical && spec.algorithm != comm::Algorithm::automatic) {
        throw ConfigError("parallel.algorithm: canonical mode sums along its fixed tree; remove the key");
    }
    if (spec.canonical && spec.path == SumPath::nccl) {
        throw ConfigError(
            "parallel.algorithm = nccl: NCCL forms sums in an order of its own, and a canonical job has a "
            "fixed one; name staged, ipc or mpi, or remove the key");
    }
    if (spec.bucket_bytes.value == 0) spec.bucket_bytes = default_bucket_bytes(graph);
    return spec;
}

}  // namespace

std::int64_t leaves_of(const ParallelSpec& spec) {
    if (spec.virtual_shards != 0) return spec.virtual_shards;
    return spec.canonical ? default_virtual_shards
                          : std::max<std::int64_t>(default_virtual_shards, spec.data);
}

std::int64_t largest_launch(const ParallelSpec& spec) {
    const std::int64_t leaves = leaves_of(spec);
    const std::int64_t leaf = largest_piece(spec.batch, leaves);
    if (spec.canonical) return leaf;
    return largest_piece(leaf * largest_piece(leaves, spec.data), spec.microbatches);
}

std::string_view name_of(StepKind kind) { return kind == StepKind::full ? "full" : "short"; }

ParallelPlan::ParallelPlan(const Selection& selection, const ParallelSpec& spec, int world,
                           std::optional<std::int64_t> samples)
    : selection_(&selection),
      spec_(completed(spec, world, selection.graph())),
      world_(world),
      shards_(samples.value_or(spec_.batch), spec_.batch, spec_.virtual_shards),
      buckets_(selection.graph(), spec_.bucket_bytes),
      has_short_step_(shards_.has_short_step()) {
    segments_ = spec_.recompute == 0 ? smallest() : Segments(selection, spec_.recompute);
}

/// The cut whose full step needs the least memory, of those the one with the fewest segments.
Segments ParallelPlan::smallest() const {
    Segments best;
    if (rank_samples(0, StepKind::full) == 0) return best;
    std::optional<Bytes> least;
    for (std::int64_t count = 1; count <= Segments::most(*selection_); ++count) {
        StepShape step = shape(0, StepKind::full);
        step.segments = Segments(*selection_, count);
        const Program program = lower_training(*selection_, buckets_, step);
        const Bytes bytes = arena_lower_bound(buffers_of(program, *selection_).lives);
        if (least && bytes >= *least) continue;
        least = bytes;
        best = step.segments;
    }
    return best;
}

std::int64_t ParallelPlan::leaf_samples(std::int64_t leaf, StepKind kind) const {
    return kind == StepKind::full ? shards_.full_leaf(leaf)
                                  : shards_.leaf(leaf, shards_.steps_per_epoch() - 1).size();
}

std::int64_t ParallelPlan::rank_samples(int rank, StepKind kind) const {
    const IndexRange mine = owned(rank);
    std::int64_t total = 0;
    for (std::int64_t v = mine.begin; v < mine.end; ++v) total += leaf_samples(v, kind);
    return total;
}

bool ParallelPlan::has_idle_ranks() const {
    if (!spec_.canonical) return false;
    // Idle in an epoch's last step alone: the wish is heard in the next one. But where that is the only step
    // ...
    const StepKind usual =
        shards_.steps_per_epoch() == 1 && has_short_step_ ? StepKind::short_last : StepKind::full;
    for (int rank = 0; rank < spec_.data; ++rank) {
        if (rank_samples(rank, usual) == 0) return true;
    }
    return false;
}

std::vector<std::int64_t> ParallelPlan::microbatches(int rank, StepKind kind) const {
    std::vector<std::int64_t> sizes;
    const auto add = [&](std::int64_t size) {
        if (size > 0) sizes.push_back(size);
    };
    if (spec_.canonical) {
        for (std::int64_t v = owned(rank).begin; v < owned(rank).end; ++v) add(leaf_samples(v, kind));
        return sizes;
    }
    const std::int64_t samples = rank_samples(rank, kind);
    for (std::int64_t m = 0; m < spec_.microbatches; ++m)
        add(even_piece(samples, spec_.microbatches, m).size());
    return sizes;
}

LeafMask ParallelPlan::present(StepKind kind) const {
    LeafMask mask;
    for (std::int64_t v = 0; v < shards_.shards(); ++v) mask.push_back(leaf_samples(v, kind) > 0);
    return mask;
}

StepShape ParallelPlan::shape(int rank, StepKind kind) const {
    StepShape shape;
    shape.segments = segments_;
    shape.microbatches = microbatches(rank, kind);
    for (int before = 0; before < rank; ++before) shape.first_position += rank_samples(before, kind);
    if (spec_.canonical) shape.leaves = leaf_schedule(present(kind), owned(rank));
    return shape;
}

std::int64_t ParallelPlan::slots(int rank) const {
    if (!spec_.canonical) return 1;
    int most = std::max(1, leaf_schedule(present(StepKind::full), owned(rank)).slots);
    if (has_short_step_)
        most = std::max(most, leaf_schedule(present(StepKind::short_last), owned(rank)).slots);
    return most;
}

std::vector<comm::CanonicalLayout> ParallelPlan::canonical_layouts(int rank, StepKind kind) const {
    comm::CanonicalLayout layout;
    layout.present = present(kind);
    for (int r = 0; r < spec_.data; ++r) layout.owned.push_back(owned(r));
    layout.stride = buckets_.arena_elements().value;
    layout.scratch = slots(rank) * layout.stride;
    std::vector<comm::CanonicalLayout> layouts;
    for (const GradBucket& bucket : buckets_.buckets()) {
        // Each bucket has scratch of its own, behind that of the one before: their sums run at the same time.
        if (!layouts.empty()) layout.scratch += comm::canonical_scratch(layouts.back(), rank);
        layout.range = bucket.range;
        layouts.push_back(layout);
    }
    return layouts;
}

Elements ParallelPlan::gradient_elements(int rank) const {
    if (!spec_.canonical) return buckets_.arena_elements();
    std::int64_t most = 0;
    for (StepKind kind : {StepKind::full, StepKind::short_last}) {
        if (kind == StepKind::short_last && !has_short_step_) continue;
        const comm::CanonicalLayout last = canonical_layouts(rank, kind).back();
        most = std::max(most, last.scratch + comm::canonical_scratch(last, rank));
    }
    return Elements(most);
}

Program ParallelPlan::program(int rank, StepKind kind) const {
    return lower_training(*selection_, buckets_, shape(rank, kind));
}

std::string ParallelPlan::str() const {
    std::string text = fmt::format("mesh: data {}\nbatch: {} samples in {} leaves", spec_.data, spec_.batch,
                                   shards_.shards());
    text += fmt::format("\nbuckets ({}):\n",
                        spec_.canonical ? "canonical tree" : comm::name_of(spec_.algorithm)) +
            buckets_.str(selection_->graph());
    if (segments_.count() > 1) text += "recompute: " + segments_.str(selection_->graph()) + '\n';
    text += "ranks:\n";
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
