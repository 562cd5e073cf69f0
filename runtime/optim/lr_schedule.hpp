// Learning rate as a function of the step. A pure function of (spec, step): a resume needs no state.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

struct LrSchedule {
    std::string kind =
        "constant";  ///< constant, step, cosine (Loshchilov, Hutter 2017, without restarts), linear
    double base = 0.01;
    std::int64_t warmup = 0;   ///< steps over which the rate rises linearly from base / warmup
    std::int64_t horizon = 1;  ///< steps of the whole job
    std::vector<double> milestones{0.5, 0.75};  ///< step: fractions of the horizon at which the rate falls
    double gamma = 0.1;                         ///< step: factor of each fall
    double floor = 0;                           ///< cosine, linear: the last rate as a fraction of base

    /// The rate of step `step`, counted from 0.
    [[nodiscard]] double at(std::int64_t step) const;
};

}  // namespace trireme
