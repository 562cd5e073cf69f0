#include "runtime/optim/lr_schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace trireme {

double LrSchedule::at(std::int64_t step) const {
    if (step < warmup) return base * static_cast<double>(step + 1) / static_cast<double>(warmup);
    const auto span = static_cast<double>(std::max<std::int64_t>(horizon - warmup, 1));
    const double progress = std::min(1.0, static_cast<double>(step - warmup) / span);
    if (kind == "cosine")
        return base * (floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * progress)));
    if (kind == "linear") return base * (floor + (1 - floor) * (1 - progress));
    if (kind == "step") {
        double rate = base;
        for (double milestone : milestones) {
            if (static_cast<double>(step) >= milestone * static_cast<double>(horizon)) rate *= gamma;
        }
        return rate;
    }
    return base;
}

}  // namespace trireme
