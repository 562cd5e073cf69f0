#include "runtime/optim/updater.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr std::size_t most_states = 3;  // two moments and the average
/// Elements that are still in a core's cache when the moving average follows the rule.
constexpr std::int64_t blocks_a_piece = 4;
constexpr double clip_margin = 1e-6;  // as PyTorch's

using StateViews = std::array<std::span<float>, most_states>;

std::span<float> part(std::span<float> arena, const IndexRange& range) {
    return arena.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
}
std::span<const float> part(std::span<const float> arena, const IndexRange& range) {
    return arena.subspan(static_cast<std::size_t>(range.begin), static_cast<std::size_t>(range.size()));
}

}  // namespace

struct Updater::Arenas {
    std::span<float> weights;
    std::span<const float> gradients;
    std::span<const std::span<float>> state;

    StateViews states(const IndexRange& range) const {
        StateViews views;
        for (std::size_t k = 0; k < state.size(); ++k) views[k] = part(state[k], range);
        return views;
    }
};

Updater::Updater(OptimizerSpec spec, std::vector<IndexRange> tensors, std::vector<ParamSettings> settings)
    : spec_(std::move(spec)),
      table_(std::move(tensors)),
      settings_(std::move(settings)),
      scalars_(table_.tensors()),
      block_sums_(static_cast<std::size_t>(table_.blocks())),
      weight_squares_(table_.tensors()),
      gradient_squares_(table_.tensors()) {
    ensure(settings_.size() == table_.tensors() && state_names(spec_).size() <= most_states,
           "each parameter has its settings");
}

UpdateReport Updater::apply(const UpdateScalars& scalars, std::span<float> weights,
                            std::span<const float> gradients, std::span<const std::span<float>> state,
                            int threads) {
    const Arenas arenas{weights, gradients, state};
    UpdateReport report;
    if (spec_.clip > 0 || spec_.name == "lars")
        squares_of(table_, gradients, threads, block_sums_, gradient_squares_);
    UpdateScalars step = scalars;
    if (spec_.clip > 0) step.gradient_scale = clipped_scale(scalars.gradient_scale, report);
    set_scalars(step);
    if (spec_.name == "lars") trust_of_lars(arenas, threads);
    if (spec_.name == "lamb") trust_of_lamb(arenas, threads);
    table_.for_pieces(threads, blocks_a_piece, [&](std::size_t t, const IndexRange& range, std::int64_t) {
        const StateViews views = arenas.states(range);
        update(spec_, scalars_[t], part(weights, range), part(gradients, range),
               std::span(views).first(state.size()));
    });
    return report;
}

void Updater::set_scalars(const UpdateScalars& scalars) {
    for (std::size_t t = 0; t < scalars_.size(); ++t) {
        scalars_[t] = {.lr = scalars.lr * settings_[t].lr_factor,
                       .weight_decay = settings_[t].weight_decay,
                       .gradient_scale = scalars.gradient_scale,
                       .trust = 1,
                       .update = scalars.update};
    }
}

double Updater::clipped_scale(double scale, UpdateReport& report) const {
    report.gradient_norm =
        scale * std::sqrt(std::accumulate(gradient_squares_.begin(), gradient_squares_.end(), 0.0));
    const double factor = spec_.clip / (report.gradient_norm + clip_margin);
    report.clipped = factor < 1;
    return report.clipped ? scale * factor : scale;
}

void Updater::trust_of_lars(const Arenas& arenas, int threads) {
    squares_of(table_, arenas.weights, threads, block_sums_, weight_squares_);
    for (std::size_t t = 0; t < scalars_.size(); ++t) {
        const double weight = std::sqrt(weight_squares_[t]);
        const double gradient = std::sqrt(gradient_squares_[t]) * scalars_[t].gradient_scale;
        if (settings_[t].adapted && weight > 0 && gradient > 0)
            scalars_[t].trust = spec_.trust * weight / (gradient + scalars_[t].weight_decay * weight);
    }
}

void Updater::trust_of_lamb(const Arenas& arenas, int threads) {
    squares_of(table_, arenas.weights, threads, block_sums_, weight_squares_);
    table_.for_pieces(threads, 1, [&](std::size_t t, const IndexRange& range, std::int64_t block) {
        const StateViews views = arenas.states(range);
        block_sums_[static_cast<std::size_t>(block)] =
            advance_moments(spec_, scalars_[t], part(arenas.weights, range), part(arenas.gradients, range),
                            std::span(views).first(arenas.state.size()));
    });
    table_.add_blocks(block_sums_, gradient_squares_);
    for (std::size_t t = 0; t < scalars_.size(); ++t) {
        const double weight = std::sqrt(weight_squares_[t]);
        const double direction = std::sqrt(gradient_squares_[t]);
        if (settings_[t].adapted && weight > 0 && direction > 0) scalars_[t].trust = weight / direction;
    }
}

}  // namespace trireme
