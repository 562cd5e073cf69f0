#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/exec/step_kernels.hpp"
#include "runtime/optim/block_table.hpp"

namespace trireme {
namespace {

float& word(float* status, StatusWord w) { return status[static_cast<std::size_t>(w)]; }

void put_wishes(float* status, const StepOrders& orders) {
    word(status, StatusWord::stop) = orders.stop_wish;
    word(status, StatusWord::save) = orders.save_wish;
}

}  // namespace

void HostStepKernels::begin(Stream&, const StepOrders& orders) { orders_ = orders; }

void HostStepKernels::record_loss(Stream&, const LossRecord& record) {
    double sum = 0;
    for (std::int64_t i = 0; i < record.samples; ++i) sum += static_cast<double>(record.losses[i]);
    std::array<float, static_cast<std::size_t>(StatusWord::count)> words{};
    word(words.data(), StatusWord::loss_sum) = static_cast<float>(sum);
    word(words.data(), StatusWord::samples) = static_cast<float>(record.samples);
    word(words.data(), StatusWord::nonfinite) = std::isfinite(sum) ? 0.0F : 1.0F;
    put_wishes(words.data(), orders_);
    for (std::size_t w = 0; w < words.size(); ++w)
        record.status[w] = record.add ? record.status[w] + words[w] : words[w];
}

void HostStepKernels::clear(Stream&, float* gradients, std::int64_t elements, float* status) {
    std::fill_n(gradients, elements, 0.0F);
    put_wishes(status, orders_);
}

void HostStepKernels::add(Stream&, const InPlaceSum& sum) { add_in_place(sum, parts_.threads); }

void HostStepKernels::commit(Stream&, StepState* judged) {
    const std::span<const float> gradients(parts_.gradients, static_cast<std::size_t>(parts_.elements));
    // Where one is not finite, a device's sum of squares is not: that it is, is all that judging asks.
    const double squares =
        all_finite(gradients, parts_.threads) ? 0.0 : std::numeric_limits<double>::quiet_NaN();
    judge_step(state_, parts_.scaling, parts_.gradients + parts_.status_offset, squares);
    state_.clipped = 0;
    state_.gradient_norm = 0;
    if (state_.admitted != 0) {
        const UpdateReport report =
            parts_.state->apply({orders_.lr, state_.gradient_scale, state_.update}, gradients);
        state_.clipped = report.clipped ? 1 : 0;
        state_.gradient_norm = report.gradient_norm;
        parts_.state->update_buffers(gradients, parts_.norms, std::llround(state_.samples));
    }
    *judged = state_;
}

}  // namespace trireme
