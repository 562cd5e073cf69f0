#include "runtime/optim/optimizer.hpp"

#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/optim/element_rules.hpp"

namespace trireme {
namespace {

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

rules::Constants constants_of(const OptimizerSpec& spec) {
    return {.momentum = spec.momentum, .beta1 = spec.beta1, .beta2 = spec.beta2, .eps = spec.eps};
}

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
        rules::adamw(rules::adam_scalars(constants_of(spec), scalars, false), n, weights.data(),
                     gradients.data(), state[0].data(), state[1].data());
    } else if (spec.name == "lamb") {
        rules::lamb(rules::adam_scalars(constants_of(spec), scalars, true), n, weights.data(),
                    state[0].data(), state[1].data());
    } else if (spec.name == "lars") {
        rules::lars(rules::sgd_scalars(constants_of(spec), scalars), n, weights.data(), gradients.data(),
                    state[0].data());
    } else {
        ensure(spec.name == "sgd", "the optimizer has a rule");
        update_sgd(spec, rules::sgd_scalars(constants_of(spec), scalars), weights, gradients, state);
    }
    if (spec.ema == 0) return;
    rules::average(rules::average_decay(spec.ema, scalars.update), n, state.back().data(), weights.data());
}

double advance_moments(const OptimizerSpec& spec, const RangeScalars& scalars, std::span<const float> weights,
                       std::span<const float> gradients, std::span<const std::span<float>> state) {
    return rules::lamb_moments(rules::adam_scalars(constants_of(spec), scalars, true),
                               static_cast<std::int64_t>(weights.size()), weights.data(), gradients.data(),
                               state[0].data(), state[1].data());
}

}  // namespace trireme
