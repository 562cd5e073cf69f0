#include "runtime/optim/optimizer.hpp"

#include <cmath>

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/optim/element_rules.hpp"

namespace trireme {
namespace {

rules::Sgd sgd_scalars(const OptimizerSpec& spec, const RangeScalars& s) {
    return {.lr = static_cast<float>(s.lr * s.trust),
            .scale = static_cast<float>(s.gradient_scale),
            .decay = static_cast<float>(s.weight_decay),
            .momentum = static_cast<float>(spec.momentum)};
}

rules::Adam adam_scalars(const OptimizerSpec& spec, const RangeScalars& s, bool lamb) {
    const auto t = static_cast<double>(s.update);
    const double correction = 1 / (1 - std::pow(spec.beta1, t));
    return {.scale = static_cast<float>(s.gradient_scale),
            .beta1 = static_cast<float>(spec.beta1),
            .beta2 = static_cast<float>(spec.beta2),
            .rate = static_cast<float>(lamb ? correction : s.lr * correction),
            .root = static_cast<float>(1 / std::sqrt(1 - std::pow(spec.beta2, t))),
            .eps = static_cast<float>(spec.eps),
            .decay = static_cast<float>(lamb ? s.weight_decay : 1 - s.lr * s.weight_decay),
            .step = static_cast<float>(s.lr * s.trust)};
}

void update_sgd(const OptimizerSpec& spec, const rules::Sgd& s, std::span<float> w, std::span<const float> g,
                std::span<const std::span<float>> state) {
    const auto n = static_cast<std::int64_t>(w.size());
    if (spec.momentum == 0) {
        rules::sgd(s, n, w.data(), g.data());
    } else if (spec.nesterov) {
        rules::sgd_nesterov(s, n, w.data(), g.data(), state[0].data());
    } else {
        rules::sgd_momentum(s, n, w.data(), g.data(), state[0].data());
    }
}

}  // namespace

std::vector<std::string> state_names(const OptimizerSpec& spec) {
    std::vector<std::string> names;
    if (spec.name == "adamw" || spec.name == "lamb") names = {"exp_avg", "exp_avg_sq"};
    if (spec.name == "lars" || (spec.name == "sgd" && spec.momentum != 0)) names = {"momentum"};
    if (spec.ema != 0) names.emplace_back(ema_state_name);
    return names;
}

void update(const OptimizerSpec& spec, const RangeScalars& scalars, std::span<float> weights,
            std::span<const float> gradients, std::span<const std::span<float>> state) {
    ensure(weights.size() == gradients.size(), "optimizer ranges fit");
    const auto n = static_cast<std::int64_t>(weights.size());
    if (spec.name == "adamw") {
        rules::adamw(adam_scalars(spec, scalars, false), n, weights.data(), gradients.data(), state[0].data(),
                     state[1].data());
    } else if (spec.name == "lamb") {
        rules::lamb(adam_scalars(spec, scalars, true), n, weights.data(), state[0].data(), state[1].data());
    } else if (spec.name == "lars") {
        rules::lars(sgd_scalars(spec, scalars), n, weights.data(), gradients.data(), state[0].data());
    } else {
        ensure(spec.name == "sgd", "the optimizer has a rule");
        update_sgd(spec, sgd_scalars(spec, scalars), weights, gradients, state);
    }
    if (spec.ema == 0) return;
    // The average starts with the first updated parameters, not with the random ones, as PyTorch's
    // AveragedModel does.
    const double decay = scalars.update == 1 ? 0 : spec.ema;
    rules::average(static_cast<float>(decay), n, state.back().data(), weights.data());
}

double advance_moments(const OptimizerSpec& spec, const RangeScalars& scalars, std::span<const float> weights,
                       std::span<const float> gradients, std::span<const std::span<float>> state) {
    return rules::lamb_moments(adam_scalars(spec, scalars, true), static_cast<std::int64_t>(weights.size()),
                               weights.data(), gradients.data(), state[0].data(), state[1].data());
}

}  // namespace trireme
