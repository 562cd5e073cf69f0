// What one step did and where its time went.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

namespace trireme {

/// Seconds by purpose, each measured by itself on the thread that trains; together they are the wall time but
/// for the little that lies between two of them.
///
/// A rank that has handed over its last gradients waits in two parts, one after the other:
///
///     my last gradients ---- straggler_wait ----> the last rank's last gradients ---- exposed_comm ---->
///     sums
///
/// so a slow rank shows in the straggler_wait of the others, and a slow network in the exposed_comm of all.
struct StepTimes {
    double data_wait = 0;       ///< waiting for the batch
    double compute = 0;         ///< kernels and the update
    double exposed_comm = 0;    ///< handing gradients over, and waiting for sums that compute could not hide
    double straggler_wait = 0;  ///< waiting while some rank had not handed over its last gradients
    double checkpoint = 0;      ///< standing still for saves and checks of replicas
    double total = 0;           ///< the whole step, the wait for its batch included; saves are not

    using Column = std::pair<std::string_view, double>;
    [[nodiscard]] std::array<Column, 5> columns() const {
        return {Column{"data_wait", data_wait}, Column{"compute", compute},
                Column{"exposed_comm", exposed_comm}, Column{"straggler_wait", straggler_wait},
                Column{"checkpoint", checkpoint}};
    }
    /// Sum of the columns.
    [[nodiscard]] double accounted() const {
        return data_wait + compute + exposed_comm + straggler_wait + checkpoint;
    }
    StepTimes& operator+=(const StepTimes& other) {
        data_wait += other.data_wait;
        compute += other.compute;
        exposed_comm += other.exposed_comm;
        straggler_wait += other.straggler_wait;
        checkpoint += other.checkpoint;
        total += other.total;
        return *this;
    }
};

/// What ranks wished in a step; the same on all of them.
struct StepWished {
    bool stop = false;  ///< a rank was asked to save and end
    bool save = false;  ///< a rank's clock asks for a checkpoint
};

struct StepReport {
    std::int64_t step = 0;     ///< StepInputs::step
    double loss_sum = 0;       ///< over the samples of all ranks
    std::int64_t samples = 0;  ///< of all ranks
    StepTimes times;
    bool skipped = false;  ///< not finite, and thrown away: nothing has changed
    StepWished wished;
    float loss_scale = 1;            ///< of the next step
    std::int64_t good_in_a_row = 0;  ///< steps since the loss scale last changed
    [[nodiscard]] double loss() const { return samples > 0 ? loss_sum / static_cast<double>(samples) : 0; }
};

}  // namespace trireme
