#include "runtime/optim/step_guard.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme {

bool StepGuard::admit(bool loss_finite, bool gradients_finite, bool scale_fell) {
    if (loss_finite && gradients_finite) {
        in_a_row_ = 0;
        return true;
    }
    if (policy_ == NanPolicy::stop && !scale_fell) {
        throw NumericError(fmt::format(
            "{} is not finite: lower optimizer.lr{}, add warm-up or optimizer.clip, or look at the data with "
            "`trireme data inspect`; job.nan = skip leaves such steps out",
            loss_finite ? "a gradient" : "the loss",
            loss_finite ? " (or precision.loss_scale, where it is a number)" : ""));
    }
    ++skipped_;
    if (++in_a_row_ >= most_in_a_row && !scale_fell) {
        throw NumericError(fmt::format(
            "{} steps one after the other had a loss or gradient that is not finite (job.nan = skip left "
            "them out): lower optimizer.lr, add warm-up or optimizer.clip, or look at the data with `trireme "
            "data inspect`",
            in_a_row_));
    }
    return false;
}

}  // namespace trireme
