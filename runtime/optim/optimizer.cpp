#include "runtime/optim/optimizer.hpp"

#include <cmath>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

void update_sgd(const OptimizerSpec& spec, const UpdateScalars& scalars, std::span<float> w,
                std::span<const float> g, float* velocity) {
    const auto lr = static_cast<float>(scalars.lr);
    const auto scale = static_cast<float>(scalars.gradient_scale);
    const auto decay = static_cast<float>(spec.weight_decay);
    const auto mu = static_cast<float>(spec.momentum);
    const auto n = static_cast<std::int64_t>(w.size());
    if (velocity == nullptr) {
        for (std::int64_t i = 0; i < n; ++i) w[i] -= lr * (g[i] * scale + decay * w[i]);
    } else if (spec.nesterov) {
        for (std::int64_t i = 0; i < n; ++i) {
            const float d = g[i] * scale + decay * w[i];
            velocity[i] = mu * velocity[i] + d;
            w[i] -= lr * (d + mu * velocity[i]);
        }
    } else {
        for (std::int64_t i = 0; i < n; ++i) {
            velocity[i] = mu * velocity[i] + (g[i] * scale + decay * w[i]);
            w[i] -= lr * velocity[i];
        }
    }
}

void update_adamw(const OptimizerSpec& spec, const UpdateScalars& scalars, std::span<float> w,
                  std::span<const float> g, float* m, float* v) {
    const auto scale = static_cast<float>(scalars.gradient_scale);
    const auto beta1 = static_cast<float>(spec.beta1);
    const auto beta2 = static_cast<float>(spec.beta2);
    const auto t = static_cast<double>(scalars.update);
    const auto keep = static_cast<float>(1 - scalars.lr * spec.weight_decay);
    const auto rate = static_cast<float>(scalars.lr / (1 - std::pow(spec.beta1, t)));
    const auto root = static_cast<float>(1 / std::sqrt(1 - std::pow(spec.beta2, t)));
    const auto eps = static_cast<float>(spec.eps);
    const auto n = static_cast<std::int64_t>(w.size());
    for (std::int64_t i = 0; i < n; ++i) {
        const float d = g[i] * scale;
        m[i] = beta1 * m[i] + (1 - beta1) * d;
        v[i] = beta2 * v[i] + (1 - beta2) * d * d;
        w[i] = keep * w[i] - rate * m[i] / (std::sqrt(v[i]) * root + eps);
    }
}

}  // namespace

std::vector<std::string> state_names(const OptimizerSpec& spec) {
    if (spec.name == "adamw") return {"exp_avg", "exp_avg_sq"};
    if (spec.name == "sgd" && spec.momentum != 0) return {"momentum"};
    return {};
}

void update(const OptimizerSpec& spec, const UpdateScalars& scalars, std::span<float> weights,
            std::span<const float> gradients, std::span<const std::span<float>> state) {
    ensure(weights.size() == gradients.size() && state.size() == state_names(spec).size(),
           "optimizer ranges fit");
    if (spec.name == "adamw") {
        update_adamw(spec, scalars, weights, gradients, state[0].data(), state[1].data());
    } else {
        update_sgd(spec, scalars, weights, gradients, state.empty() ? nullptr : state[0].data());
    }
}

}  // namespace trireme
