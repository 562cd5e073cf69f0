#include "runtime/optim/updater.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr std::size_t most_states = 3;  // two moments and the average
/// Elements that are still in a core's cache when the moving average follows the rule.
constexpr std::int64_t blocks_a_piece = 4;

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
    const rules::Clipping c = rules::clipping(
        scale, spec_.clip, std::accumulate(gradient_squares_.begin(), gradient_squares_.end(), 0.0));
    report.gradient_norm = c.norm;
    report.clipped = c.clipped;
    return c.scale;
}

void Updater::trust_of_lars(const Arenas& arenas, int threads) {
    squares_of(table_, arenas.weights, threads, block_sums_, weight_squares_);
    for (std::size_t t = 0; t < scalars_.size(); ++t) {
        if (!settings_[t].adapted) continue;
        scalars_[t].trust =
            rules::lars_trust(spec_.trust, weight_squares_[t], gradient_squares_[t], scalars_[t]);
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
        if (settings_[t].adapted)
            scalars_[t].trust = rules::lamb_trust(weight_squares_[t], gradient_squares_[t]);
    }
}

}  // namespace trireme
