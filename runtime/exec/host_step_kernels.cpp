#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/exec/step_kernels.hpp"
#include "runtime/optim/block_table.hpp"

namespace trireme {
namespace {

using Words = std::array<float, static_cast<std::size_t>(StatusWord::count)>;

float& word(float* status, StatusWord w) { return status[static_cast<std::size_t>(w)]; }

float word(const float* status, StatusWord w) { return status[static_cast<std::size_t>(w)]; }

}  // namespace

void put_wishes(float* status, const Wishes& wishes) {
    word(status, StatusWord::stop) = wishes.stop;
    word(status, StatusWord::save) = wishes.save;
}

Wishes wishes_in(const float* status) {
    return {word(status, StatusWord::stop), word(status, StatusWord::save)};
}

void HostStepKernels::record_loss(Stream&, const LossRecord& record) {
    double sum = 0;
    for (std::int64_t i = 0; i < record.samples; ++i) sum += static_cast<double>(record.losses[i]);
    Words words{};
    word(words.data(), StatusWord::loss_sum) = static_cast<float>(sum);
    word(words.data(), StatusWord::samples) = static_cast<float>(record.samples);
    word(words.data(), StatusWord::nonfinite) = std::isfinite(sum) ? 0.0F : 1.0F;
    put_wishes(words.data(), record.wishes);
    for (std::size_t w = 0; w < words.size(); ++w)
        record.status[w] = record.add ? record.status[w] + words[w] : words[w];
}

void HostStepKernels::clear(Stream&, float* gradients, std::int64_t elements, float* status,
                            const Wishes& wishes) {
    std::fill_n(gradients, elements, 0.0F);
    put_wishes(status, wishes);
}

void HostStepKernels::add(Stream&, const InPlaceSum& sum) { add_in_place(sum, threads_); }

void HostStepKernels::commit(Stream&, ModelState& state, const Commit& commit) {
    const float* status = commit.gradients + commit.status_offset;
    const std::span<const float> gradients(commit.gradients, static_cast<std::size_t>(commit.elements));
    StepOutcome& outcome = *commit.outcome;
    outcome.loss_sum = static_cast<double>(word(status, StatusWord::loss_sum));
    outcome.samples = static_cast<double>(word(status, StatusWord::samples));
    outcome.wishes = wishes_in(status);
    outcome.loss_finite = word(status, StatusWord::nonfinite) == 0 && std::isfinite(outcome.loss_sum);
    outcome.gradients_finite = outcome.loss_finite && all_finite(gradients, threads_);
    if (!outcome.finite()) return;
    UpdateScalars scalars;
    scalars.lr = commit.lr;
    scalars.gradient_scale = 1.0 / outcome.samples;
    scalars.update = commit.update;
    state.apply(scalars, gradients);
    state.update_buffers(gradients, *commit.statistics_offsets, std::llround(outcome.samples));
}

}  // namespace trireme
