// Whether a step is committed. Asked once all sums have arrived and before anything changes: status words and
// gradients are the same on all ranks then, so all ranks decide alike without another message.
#pragma once

#include <cstdint>

namespace trireme {

/// What a step with a loss or gradient that is not finite does (job.nan).
enum class NanPolicy { stop, skip };

class StepGuard {
  public:
    /// `skipped`: steps thrown away before a resume.
    explicit StepGuard(NanPolicy policy, std::int64_t skipped = 0) : policy_(policy), skipped_(skipped) {}

    /// True: commit the step. False: throw it away; parameters, optimizer state, running statistics, average
    /// and the count of updates stay, the sample cursor goes on. Throws NumericError under `stop`, and under
    /// `skip` when `most_in_a_row` steps came to nothing one after the other. `loss_finite`: as the status
    /// words say. `gradients_finite`: whether all elements of the summed gradients are. `scale_fell`: a
    /// dynamic loss scale was above its least, and is lower in the next step; the step is then left out under
    /// either policy, because that is how such a scale finds its height.
    [[nodiscard]] bool admit(bool loss_finite, bool gradients_finite, bool scale_fell = false);

    [[nodiscard]] std::int64_t skipped() const { return skipped_; }

    static constexpr std::int64_t most_in_a_row = 100;

  private:
    NanPolicy policy_;
    std::int64_t skipped_;
    std::int64_t in_a_row_ = 0;
};

}  // namespace trireme
