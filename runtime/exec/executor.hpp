// The executor: a short loop over instructions. Kernels run on the device's stream, sums on comm's progress
// thread; the loop waits for nothing but what an instruction says it waits for.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "comm/communicator.hpp"
#include "runtime/core/deadline.hpp"
#include "runtime/core/trace_sink.hpp"
#include "runtime/device/device.hpp"
#include "runtime/exec/bucket_sums.hpp"
#include "runtime/exec/compiled_program.hpp"
#include "runtime/exec/launch_clock.hpp"
#include "runtime/exec/step_kernels.hpp"
#include "runtime/exec/step_report.hpp"
#include "runtime/exec/step_streams.hpp"
#include "runtime/exec/sum_choice.hpp"
#include "runtime/exec/transfers.hpp"
#include "runtime/optim/step_guard.hpp"
#include "runtime/plan/parallel_plan.hpp"

namespace trireme {

/// Samples of this rank: [samples, sample shape] and targets, of the types that the graph's input and target
/// have, in memory that the device copies from (Executor::staging).
struct HostBatch {
    std::span<const std::byte> x;
    std::span<const std::byte> y;
    std::int64_t samples = 0;
};

/// The batch of the step to come.
struct NextBatch {
    HostBatch batch;
    StepKind kind = StepKind::full;
};

/// What changes from step to step.
struct StepInputs {
    StepKind kind = StepKind::full;
    HostBatch batch;
    std::int64_t step = 0;  ///< of the job, counted from 0: random numbers are keyed by it
    double data_wait = 0;   ///< seconds that the batch was waited for: a part of the step's times
    double lr = 0;
    bool stop_wish = false;  ///< this rank was asked to save and end
    bool save_wish = false;  ///< this rank's clock asks for a checkpoint
    double drill_delay = 0;  ///< fault drills: seconds by which this rank's first kernel takes longer
    Deadline deadline = Deadline::in_seconds(0);
    /// Asked once all of a step has been launched: the next step's samples, if they are there. They travel to
    /// an asynchronous device while it computes, and stay where they are until the next `step`, which is
    /// given the same, or `forget_next`. May be empty.
    std::function<std::optional<NextBatch>()> next;
};

/// What a rank's executor is made of; all must outlive it.
struct ExecutorParts {
    const ParallelPlan* plan = nullptr;
    int rank = 0;
    ModelState* state = nullptr;
    Device* device = nullptr;
    MakeStepKernels step_kernels;  ///< the device's own; empty where the host does it
    comm::Communicator* comm = nullptr;
    TraceSink* trace = nullptr;  ///< may be null
    std::uint64_t seed = 0;
    /// What a step that is not finite does. Without one the executor runs `forward` only, and has neither
    /// gradients nor training programs nor their memory.
    StepGuard* guard = nullptr;
    LossScaling loss_scaling;
    bool capture = true;          ///< steps are replayed as graphs of launches, where the device can
    std::int64_t eval_batch = 0;  ///< batch of `forward`; 0: none
};

class Executor {
  public:
    explicit Executor(const ExecutorParts& parts);

    /// Launches one training step of the job: forward, backward, sums, update; needs a guard. All ranks call
    /// it with their samples of the same step, which the host may give back afterwards. An asynchronous
    /// device may still be busy with the update when it returns, so that it finds the next step's launches
    /// when it is done; the step before is over by then.
    StepWished launch(const StepInputs& inputs);
    /// Waits until what was launched is over. Where the loss or a gradient of a step is not finite nothing
    /// changes in it, and the guard decides whether it is left out (StepReport::skipped) or NumericError is
    /// thrown: here, or by the next `launch`, which changes nothing then.
    void settle();
    /// Of a step that is over, the oldest first and each once; none where there is none.
    [[nodiscard]] std::optional<StepReport> take_report();
    /// From the next step on the device also takes the time of each launch, which costs it a little. It must
    /// be asynchronous; settles.
    void time_launches();
    /// Of the last step, which must be over; in the order of the step.
    [[nodiscard]] std::vector<LaunchTime> launch_times() const;
    /// Counts updates and moves the loss scale from here on: after a resume, before the next step.
    void restore(const StepState& state);
    /// Before the memory of StepInputs::next goes without having been given to a step.
    void forget_next();

    /// Forward only, on this rank's own samples, at most `eval_batch`. It always runs at that size, so that
    /// its memory is planned and a sample's result does not depend on how many stand beside it: the memory
    /// behind `batch` must hold `eval_batch` samples with valid targets; surplus rows are computed and left
    /// out. Valid until the next call.
    struct Prediction {
        std::span<const float> logits;  ///< [samples, classes]
        std::span<const float> loss;    ///< [samples]
    };
    Prediction forward(const HostBatch& batch);

    /// Width of the logits.
    [[nodiscard]] std::int64_t classes() const;
    /// Where batches are to lie.
    [[nodiscard]] MemorySpace& staging() const { return parts_.device->staging(); }

    /// Memory of a rank that drives `device`, planned: without data, which the loader plans.
    [[nodiscard]] static MemoryReport planned_memory(const ParallelPlan& plan, int rank,
                                                     const OptimizerSpec& optimizer, std::int64_t eval_batch,
                                                     const Device& device);
    /// Device memory that this executor holds.
    [[nodiscard]] Bytes arena_bytes() const { return arena_.size(); }
    /// The sums of the last step, with the bucket layout; empty where they stay on the device.
    [[nodiscard]] std::span<float> gradients() const {
        return bucket_sums_ ? bucket_sums_->host() : std::span<float>();
    }
    /// How gradients travel between devices and why, for people; empty where they do not.
    [[nodiscard]] std::string sums_text() const { return choice_ ? choice_->text() : std::string(); }

  private:
    struct StepScope;  // what the instructions of one step share
    /// A training program's launches; empty until they have been captured.
    struct Captured {
        std::optional<LaunchClock> clock;  ///< where launches are timed; the graphs reach its events
        std::unique_ptr<LaunchGraph> passes;
        std::unique_ptr<LaunchGraph> update;
    };
    void prepare_training();
    CompiledProgram& training_program(StepKind kind);
    CompiledProgram& forward_program();
    void run(CompiledProgram& program, StepScope& scope);
    void play(CompiledInstruction& instruction, StepScope& scope);
    [[nodiscard]] Captured* captured(StepKind kind);
    void capture(CompiledProgram& program, StepScope& scope, Captured& captured);
    void replay(CompiledProgram& program, StepScope& scope);
    void execute(CompiledInstruction& instruction, StepScope& scope);
    void load(CompiledProgram& program, const HostBatch& batch, std::int64_t step);
    void upload(const CompiledInstruction& instruction, const HostBatch& batch, int half);
    void upload_next(const StepScope& scope);
    void finish_samples(CompiledProgram& program);
    void launch_on_stream(CompiledInstruction& instruction, StepScope& scope);
    [[nodiscard]] LaunchClock* clock_of(Captured* captured);
    bool wait_for(const Instruction& instruction);
    void signal(const Instruction& instruction);
    void give_orders(const StepInputs& inputs);
    void record_loss(const CompiledInstruction& instruction, bool on_top);
    void clear_gradients();
    void reduce(int bucket, StepScope& scope);
    void wait_for_sums(StepScope& scope);
    void commit(StepScope& scope);
    void update(StepScope& scope);
    void launch_update(StepScope& scope);
    void finish_step_before(const CompiledInstruction& instruction, StepScope& scope);
    double finish_under_way();
    void finish(StepReport report, const StepState& judged);
    [[nodiscard]] StepState* judgement() { return reinterpret_cast<StepState*>(results_.data()); }
    void make_step_kernels();
    void prepare_transfers();
    void prepare_sums();
    void trace_span(std::string_view name, TraceSink::Clock::time_point begin,
                    TraceSink::Clock::time_point end) const;

    ExecutorParts parts_;
    Region arena_;
    Region bucket_region_;               ///< gradients of a device that is the host
    std::optional<SumChoice> choice_;    ///< of an asynchronous device; it has the memory of gradients
    float* device_gradients_ = nullptr;  ///< where kernels write
    Region results_;  ///< what comes back from a device: how a step was judged, or a prediction
    std::optional<StepReport> under_way_;  ///< of the step whose commit was launched last; not judged yet
    std::shared_ptr<Event> committed_;     ///< of an asynchronous device: behind that commit
    std::vector<StepReport> over_;         ///< reports that nobody has taken yet
    std::optional<HostBatch> ahead_;       ///< what lies in the other half, or is on its way there
    std::unique_ptr<StepKernels> step_kernels_;  ///< of an executor that trains
    std::unique_ptr<BucketSums> bucket_sums_;    ///< of the same; it uses the step's kernels
    std::optional<StepStreams> streams_;         ///< where launches are captured
    std::optional<DeviceTransfers> transfers_;   ///< of an asynchronous device; they reach what the sums own
    std::map<StepKind, CompiledProgram> training_;
    std::optional<CompiledProgram> forward_;
    std::vector<comm::Ticket> sums_;
    /// Where some rank has no part in the tree, what ranks want of all is summed for itself.
    bool wishes_apart_ = false;
    Region wishes_region_;     ///< of comm, as the buckets are: a sum that is given up is given up there too
    std::span<float> wishes_;  ///< [StatusWord::count]
    comm::Ticket told_;
    comm::Ticket arrival_;  ///< done once every rank has handed over its last gradients
    bool times_launches_ = false;
    std::optional<LaunchClock> clock_;                       ///< of steps that are launched piece by piece
    LaunchClock* last_clock_ = nullptr;                      ///< of the last step
    std::vector<StepKind> warm_;                             ///< of which a step was launched
    std::map<std::pair<StepKind, int>, Captured> captured_;  ///< by kind, and half of the batch memory
    /// Last, so that it goes first: when an exception unwinds, it waits for what works on all of the above.
    std::unique_ptr<Stream> stream_;
};

}  // namespace trireme
