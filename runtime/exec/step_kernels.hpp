// What a step does on the device beside the kernels of its nodes: adding gradients, the status words, and the
// commit. Each back end has its own; the host's does everything at once.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/device/device.hpp"
#include "runtime/exec/in_place_sum.hpp"
#include "runtime/exec/model_state.hpp"

namespace trireme {

/// What a rank wants of all ranks, as numbers that are summed beside the gradients.
struct Wishes {
    float stop = 0;  ///< it was asked to save and end
    float save = 0;  ///< its clock asks for a checkpoint
};

void put_wishes(float* status, const Wishes& wishes);
[[nodiscard]] Wishes wishes_in(const float* status);

/// The losses of one micro-batch, and the status words (StatusWord) that they go to.
struct LossRecord {
    const float* losses = nullptr;  ///< [samples]
    std::int64_t samples = 0;
    float* status = nullptr;
    bool add = false;  ///< on top of what earlier micro-batches left
    Wishes wishes;
};

/// What the status words and gradients of a step say, once everything is summed over ranks.
struct StepOutcome {
    double loss_sum = 0;
    double samples = 0;
    bool loss_finite = false;
    bool gradients_finite = false;
    Wishes wishes;
    [[nodiscard]] bool finite() const { return loss_finite && gradients_finite; }
};

struct Commit {
    const float* gradients = nullptr;  ///< device memory: the bucket arena, summed
    std::int64_t elements = 0;
    std::int64_t status_offset = 0;
    const std::vector<std::int64_t>* statistics_offsets = nullptr;  ///< of each node, in the arena
    double lr = 0;
    std::int64_t update = 1;
    StepOutcome* outcome = nullptr;  ///< device memory, written before anything else changes
};

class StepKernels {
  public:
    virtual ~StepKernels() = default;
    virtual void record_loss(Stream& stream, const LossRecord& record) = 0;
    /// Zeroes gradients, status words too, and leaves the wishes there.
    virtual void clear(Stream& stream, float* gradients, std::int64_t elements, float* status,
                       const Wishes& wishes) = 0;
    virtual void add(Stream& stream, const InPlaceSum& sum) = 0;
    /// Writes the outcome; where it is finite, and only then, updates parameters, optimizer state and running
    /// statistics.
    virtual void commit(Stream& stream, ModelState& state, const Commit& commit) = 0;
};

class HostStepKernels final : public StepKernels {
  public:
    explicit HostStepKernels(int threads) : threads_(threads) {}
    void record_loss(Stream& stream, const LossRecord& record) override;
    void clear(Stream& stream, float* gradients, std::int64_t elements, float* status,
               const Wishes& wishes) override;
    void add(Stream& stream, const InPlaceSum& sum) override;
    void commit(Stream& stream, ModelState& state, const Commit& commit) override;

  private:
    int threads_;
};

}  // namespace trireme
