// What a step does on the device beside the kernels of its nodes: adding gradients, the status words, and the
// commit. Each back end has its own; the host's does everything at once.
//
// In a step: orders, then losses, sums and zeros in any number, then one commit. Kernels of a stream run in
// order, so each finds what those before it left; what the host reads is there once the stream has been
// synchronised.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/device/device.hpp"
#include "runtime/exec/in_place_sum.hpp"
#include "runtime/exec/model_state.hpp"
#include "runtime/optim/step_state.hpp"

namespace trireme {

/// The losses of one micro-batch, and the status words (StatusWord) that they go to.
struct LossRecord {
    const float* losses = nullptr;  ///< [samples]
    std::int64_t samples = 0;
    float* status = nullptr;
    bool add = false;  ///< on top of what earlier micro-batches left
};

/// What step kernels work on; all must outlive them.
struct StepParts {
    Device* device = nullptr;
    ModelState* state = nullptr;
    const float* gradients = nullptr;  ///< device memory: the bucket arena, summed when a step commits
    std::int64_t elements = 0;
    std::int64_t status_offset = 0;
    std::vector<RunningNorm> norms;  ///< whose statistics lie in that arena
    LossScaling scaling;
    int threads = 1;  ///< of the host
};

class StepKernels {
  public:
    virtual ~StepKernels() = default;
    /// Goes on from `state`, of a run that was interrupted. Waits for the device.
    virtual void restore(const StepState& state) = 0;
    /// Device memory: what the gradient of a loss is multiplied by; null where that is 1 in every step.
    [[nodiscard]] virtual const float* loss_scale() const = 0;

    /// Other steps may still be under way.
    virtual void begin(Stream& stream, const StepOrders& orders) = 0;
    /// Losses, samples and this rank's wishes as status words.
    virtual void record_loss(Stream& stream, const LossRecord& record) = 0;
    /// Zeroes gradients, status words too, and leaves the wishes there.
    virtual void clear(Stream& stream, float* gradients, std::int64_t elements, float* status) = 0;
    virtual void add(Stream& stream, const InPlaceSum& sum) = 0;
    /// Judges the step; where it is admitted, and only then, updates parameters, optimizer state, average and
    /// running statistics. Writes the judgement to `judged`, which is host memory (of Device::staging() where
    /// the device is asynchronous). Changes the state where the device keeps it: the caller has told the
    /// state so (ModelState::change_on_device).
    virtual void commit(Stream& stream, StepState* judged) = 0;
};

/// Makes the step kernels of a back end.
using MakeStepKernels = std::function<std::unique_ptr<StepKernels>(const StepParts&)>;

class HostStepKernels final : public StepKernels {
  public:
    explicit HostStepKernels(const StepParts& parts) : parts_(parts) {}
    void restore(const StepState& state) override { state_ = state; }
    [[nodiscard]] const float* loss_scale() const override {
        return parts_.scaling.scales() ? &state_.loss_scale : nullptr;
    }
    void begin(Stream& stream, const StepOrders& orders) override;
    void record_loss(Stream& stream, const LossRecord& record) override;
    void clear(Stream& stream, float* gradients, std::int64_t elements, float* status) override;
    void add(Stream& stream, const InPlaceSum& sum) override;
    void commit(Stream& stream, StepState* judged) override;

  private:
    StepParts parts_;
    StepOrders orders_;
    StepState state_ = initial_state(parts_.scaling);
};

}  // namespace trireme
