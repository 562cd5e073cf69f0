// ParallelPlan: who computes what, as a pure function of (selection, parallel spec, world). No MPI, no
// device, no data; its text is what all ranks must agree on before the first message.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "comm/canonical.hpp"
#include "comm/communicator.hpp"
#include "runtime/core/virtual_shards.hpp"
#include "runtime/exec/program.hpp"
#include "runtime/plan/buffer_table.hpp"
#include "runtime/plan/grad_buckets.hpp"
#include "runtime/plan/selection.hpp"
#include "runtime/plan/sum_path.hpp"

namespace trireme {

struct ParallelSpec {
    int data = 1;                     ///< data-parallel ranks
    std::int64_t batch = 64;          ///< global samples of a full step
    std::int64_t microbatches = 1;    ///< pieces that a rank cuts its samples into (gradient accumulation)
    std::int64_t virtual_shards = 0;  ///< L; 0: 8, or `data` where that is larger
    Bytes bucket_bytes{};             ///< 0: default_bucket_bytes
    comm::Algorithm algorithm = comm::Algorithm::automatic;
    SumPath path = SumPath::automatic;  ///< of gradients between devices; the host's need none
    /// Segments whose activations are computed again in backward (recompute.hpp); 1: everything is kept, 0:
    /// as many as need the least memory.
    std::int64_t recompute = 1;
    bool canonical = false;  ///< same bits on any rank count: leaf by leaf, summed along the fixed tree
};

/// Virtual shards, where the spec leaves them open too.
[[nodiscard]] std::int64_t leaves_of(const ParallelSpec& spec);
/// Samples of the largest launch in training, over all ranks, or a few more: for what must be known before
/// there is a plan. The spec need not be valid.
[[nodiscard]] std::int64_t largest_launch(const ParallelSpec& spec);

/// An epoch's steps are of two kinds; the last one may be short.
enum class StepKind { full, short_last };
[[nodiscard]] std::string_view name_of(StepKind kind);

/// Memory of one rank by purpose.
struct MemoryReport {
    Bytes parameters{};
    Bytes optimizer_state{};
    Bytes gradients{};
    Bytes arena{};        ///< activations, their gradients, kernel state and scratch, shared by all programs
    Bytes batch{};        ///< an asynchronous device's copy of the samples
    Bytes host_state{};   ///< the host's copy of an asynchronous device's parameters and optimizer state
    Bytes device_sums{};  ///< where an asynchronous device sums over ranks, beside its gradients, at most
    Bytes step_tables{};  ///< what an asynchronous device's update and random numbers are told by
    Bytes host_sums{};    ///< where gradients of an asynchronous device are summed over ranks (pinned)
    Bytes data{};         ///< batch buffers and block windows of the data pipeline
    Bytes checkpoint{};   ///< copy of the state that is being saved; of the rank that saves
    bool apart = false;   ///< the device has memory of its own
    [[nodiscard]] Bytes total() const { return on_device() + host_state + host_sums + data + checkpoint; }
    /// What lies in the memory of the process: all but that of a device that has its own.
    [[nodiscard]] Bytes in_process() const { return apart ? total() - on_device() : total(); }
    /// What lies in the memory of the device.
    [[nodiscard]] Bytes on_device() const {
        return parameters + optimizer_state + gradients + device_sums + step_tables + arena + batch;
    }
};

class ParallelPlan {
  public:
    /// `samples`: of the training split; without a data set the plan holds full steps only. Throws
    /// ConfigError where spec and world do not fit (world size, more ranks than virtual shards allow, ...).
    ParallelPlan(const Selection& selection, const ParallelSpec& spec, int world,
                 std::optional<std::int64_t> samples);

    [[nodiscard]] const Selection& selection() const { return *selection_; }
    [[nodiscard]] const ParallelSpec& spec() const { return spec_; }
    [[nodiscard]] const VirtualShards& shards() const { return shards_; }
    [[nodiscard]] const GradBuckets& buckets() const { return buckets_; }
    [[nodiscard]] const Segments& segments() const { return segments_; }
    [[nodiscard]] int world() const { return world_; }
    [[nodiscard]] bool has_short_step() const { return has_short_step_; }
    /// Canonical mode: a rank has no sample in a full step (a batch smaller than the leaves), and so no part
    /// in the sums along the tree.
    [[nodiscard]] bool has_idle_ranks() const;

    [[nodiscard]] IndexRange owned(int rank) const { return shards_.owned_by(rank, spec_.data); }
    /// Samples of a rank in a step of this kind, over all its leaves.
    [[nodiscard]] std::int64_t rank_samples(int rank, StepKind kind) const;
    [[nodiscard]] std::vector<std::int64_t> microbatches(int rank, StepKind kind) const;
    /// Everything that a rank's program of this kind is lowered from.
    [[nodiscard]] StepShape shape(int rank, StepKind kind) const;

    /// Elements of a rank's gradient memory: slots of the bucket arena, and scratch of the canonical sums.
    [[nodiscard]] Elements gradient_elements(int rank) const;
    /// Elements of the gradient memory that kernels write: the slots alone.
    [[nodiscard]] Elements device_gradients(int rank) const {
        return buckets_.arena_elements() * slots(rank);
    }
    /// Canonical mode: where the operands of each bucket's sum lie; `scratch` is that of `rank`.
    [[nodiscard]] std::vector<comm::CanonicalLayout> canonical_layouts(int rank, StepKind kind) const;
    [[nodiscard]] Program program(int rank, StepKind kind) const;

    /// The plan as text: mesh, leaves, buckets. Equal on all ranks.
    [[nodiscard]] std::string str() const;

  private:
    [[nodiscard]] LeafMask present(StepKind kind) const;
    [[nodiscard]] std::int64_t leaf_samples(std::int64_t leaf, StepKind kind) const;
    /// Slots that a rank needs for any kind of step.
    [[nodiscard]] std::int64_t slots(int rank) const;
    [[nodiscard]] Segments smallest() const;

    const Selection* selection_;
    ParallelSpec spec_;
    int world_;
    VirtualShards shards_;
    GradBuckets buckets_;
    bool has_short_step_;
    Segments segments_;
};

/// Memory plan of one program.
[[nodiscard]] MemoryPlan plan_memory(const Program& program, const Selection& selection);

/// Checks the programs of all ranks of one step kind against each other: every wait has its signal before it,
/// every bucket is summed once, after its last gradient, in the same order everywhere, and the update waits
/// for all sums. Throws InternalError that prints the two instructions that disagree.
void verify_programs(const std::vector<Program>& programs, const ParallelPlan& plan);
/// verify_programs for every kind of step of the plan.
void verify(const ParallelPlan& plan);

}  // namespace trireme
