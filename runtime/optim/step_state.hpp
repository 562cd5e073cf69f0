// What a device keeps of training from step to step, and how a step is judged there: whether it is committed,
// by which rates, and what losses are multiplied by in the next one is decided on the device from the summed
// gradients and status words. The host reads the judgement; nothing waits for it to decide.
//
// Losses, and so gradients, may be multiplied by a scale, which keeps fp16 gradients in range (Micikevicius
// and others, "Mixed Precision Training", 2018). A dynamic scale falls when gradients were not finite though
// the loss was, and rises after a run of good steps; it is a power of two, so that dividing by it rounds
// nothing. A loss that is not finite is no work of the scale, which only gradients are multiplied by.
#pragma once

#include <cstdint>

#include "runtime/plan/status_word.hpp"

namespace trireme {

/// What the host tells a step before its first launch.
struct StepOrders {
    double lr = 0;
    float stop_wish = 0;  ///< 1: this rank was asked to save and end
    float save_wish = 0;
};

struct LossScaling {
    bool dynamic = false;
    double initial = 1;  ///< a power of two
    double growth = 2;
    double backoff = 0.5;
    std::int64_t interval = 2000;  ///< good steps in a row before the scale rises
    double least = 1;
    double most = 16777216;  ///< 2^24

    /// Whether losses are multiplied at all.
    [[nodiscard]] constexpr bool scales() const { return dynamic || initial != 1; }
};

/// What fp16 wants: the scale finds its own height, as that of PyTorch's GradScaler does.
[[nodiscard]] constexpr LossScaling dynamic_loss_scaling() { return {.dynamic = true, .initial = 65536}; }

/// One a rank, in device memory; the same on all ranks after each step.
struct StepState {
    std::int64_t update = 0;         ///< updates so far
    std::int64_t good_in_a_row = 0;  ///< since the scale last changed
    float loss_scale = 1;            ///< of the next step; what LaunchContext::loss_scale points at

    // Of the last step.
    std::int32_t admitted = 0;
    std::int32_t loss_finite = 0;
    std::int32_t scale_fell = 0;  ///< not admitted, and the next step has a lower loss scale
    std::int32_t clipped = 0;
    float stop_wishes = 0;  ///< of the ranks whose status words were summed
    float save_wishes = 0;
    double loss_sum = 0;
    double samples = 0;
    double gradient_scale = 1;  ///< what gradients are multiplied by: mean, loss scale and clipping in one
    double gradient_norm = 0;   ///< of the mean gradient, before clipping
};

[[nodiscard]] constexpr StepState initial_state(const LossScaling& scaling) {
    return {.loss_scale = static_cast<float>(scaling.initial)};
}

[[nodiscard]] constexpr bool is_finite(double value) { return value - value == 0; }

/// Judges a step before anything changes. `status`: the summed status words; `squares`: of all gradients,
/// which tell whether one of them was not finite. Sets what belongs to the last step, but for clipping, and
/// the counters and the scale of the next one.
constexpr void judge_step(StepState& s, const LossScaling& scaling, const float* status, double squares) {
    const auto word = [&](StatusWord w) { return status[static_cast<int>(w)]; };
    s.stop_wishes = word(StatusWord::stop);
    s.save_wishes = word(StatusWord::save);
    s.loss_sum = static_cast<double>(word(StatusWord::loss_sum));
    s.samples = static_cast<double>(word(StatusWord::samples));
    s.loss_finite = word(StatusWord::nonfinite) == 0 && is_finite(s.loss_sum) ? 1 : 0;
    s.admitted = s.loss_finite != 0 && is_finite(squares) && s.samples > 0 ? 1 : 0;
    s.scale_fell = 0;
    const auto scale = static_cast<double>(s.loss_scale);
    s.gradient_scale = s.admitted != 0 ? 1 / (s.samples * scale) : 0;
    if (s.admitted != 0) {
        ++s.update;
        ++s.good_in_a_row;
        if (!scaling.dynamic || s.good_in_a_row < scaling.interval) return;
        s.good_in_a_row = 0;
        const double raised = scale * scaling.growth;
        s.loss_scale = static_cast<float>(raised < scaling.most ? raised : scaling.most);
        return;
    }
    s.good_in_a_row = 0;
    if (!scaling.dynamic || s.loss_finite == 0) return;
    const double lowered = scale * scaling.backoff;
    s.loss_scale = static_cast<float>(lowered > scaling.least ? lowered : scaling.least);
    s.scale_fell = static_cast<double>(s.loss_scale) < scale ? 1 : 0;
}

}  // namespace trireme
