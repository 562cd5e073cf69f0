// The arithmetic of optimizers, element by element: the one source of what the loops on CPU cores
// (element_rules.cpp) and the kernels on a GPU (runtime/kernels/cuda) compute, so that both give the same
// bits. Only fp32 and fp64 operations that IEEE 754 rounds are used, in a written order, and no compiler here
// may contract them.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace trireme {

/// The numbers of one parameter in one step.
struct RangeScalars {
    double lr = 0;
    double weight_decay = 0;
    double gradient_scale = 1;
    double trust = 1;  ///< T of lars and lamb
    std::int64_t update = 1;
};

}  // namespace trireme

namespace trireme::rules {

struct Sgd {
    float lr = 0;
    float scale = 1;  ///< of the gradient
    float decay = 0;
    float momentum = 0;
};

struct Adam {
    float scale = 1;
    float beta1 = 0;
    float beta2 = 0;
    float rate = 0;  ///< adamw: lr / (1 - beta1^t); lamb: 1 / (1 - beta1^t)
    float root = 0;  ///< 1 / sqrt(1 - beta2^t)
    float eps = 0;
    float decay = 0;  ///< adamw: 1 - lr wd, a factor; lamb: wd
    float step = 0;   ///< lamb: lr T
};

/// What a rule's formula has beside its rates.
struct Constants {
    double momentum = 0;
    double beta1 = 0;
    double beta2 = 0;
    double eps = 0;
};

constexpr void sgd_element(const Sgd& s, float& w, float g) { w -= s.lr * (g * s.scale + s.decay * w); }

constexpr void sgd_momentum_element(const Sgd& s, float& w, float g, float& velocity) {
    velocity = s.momentum * velocity + (g * s.scale + s.decay * w);
    w -= s.lr * velocity;
}

constexpr void sgd_nesterov_element(const Sgd& s, float& w, float g, float& velocity) {
    const float d = g * s.scale + s.decay * w;
    velocity = s.momentum * velocity + d;
    w -= s.lr * (d + s.momentum * velocity);
}

/// `lr` is the rate times T.
constexpr void lars_element(const Sgd& s, float& w, float g, float& velocity) {
    velocity = s.momentum * velocity + s.lr * (g * s.scale + s.decay * w);
    w -= velocity;
}

constexpr void moments_element(const Adam& s, float g, float& m, float& v) {
    const float d = g * s.scale;
    m = s.beta1 * m + (1 - s.beta1) * d;
    v = s.beta2 * v + (1 - s.beta2) * d * d;
}

constexpr void adamw_element(const Adam& s, float& w, float g, float& m, float& v) {
    moments_element(s, g, m, v);
    w = s.decay * w - s.rate * m / (std::sqrt(v) * s.root + s.eps);
}

/// lamb's r.
constexpr float lamb_direction(const Adam& s, float w, float m, float v) {
    return s.rate * m / (std::sqrt(v) * s.root + s.eps) + s.decay * w;
}
constexpr void lamb_element(const Adam& s, float& w, float m, float v) {
    w -= s.step * lamb_direction(s, w, m, v);
}

constexpr void average_element(float decay, float& ema, float w) { ema = decay * ema + (1 - decay) * w; }

/// The average starts with the first updated parameters, not with the random ones, as PyTorch's AveragedModel
/// does.
[[nodiscard]] constexpr float average_decay(double ema, std::int64_t update) {
    return static_cast<float>(update == 1 ? 0 : ema);
}

/// Sums of squares: element i of a block is added to sum i mod `lanes`, in order, and the sums are added by
/// halves.
inline constexpr int lanes = 16;
using LaneSums = std::array<double, lanes>;

[[nodiscard]] constexpr double square_of(float value) {
    return static_cast<double>(value) * static_cast<double>(value);
}

/// base^exponent by squaring, in the same few products everywhere; std::pow differs between libraries.
[[nodiscard]] constexpr double power(double base, std::int64_t exponent) {
    double result = 1;
    for (; exponent > 0; exponent /= 2) {
        if (exponent % 2 == 1) result *= base;
        base *= base;
    }
    return result;
}

[[nodiscard]] constexpr Sgd sgd_scalars(const Constants& c, const RangeScalars& s) {
    return {static_cast<float>(s.lr * s.trust), static_cast<float>(s.gradient_scale),
            static_cast<float>(s.weight_decay), static_cast<float>(c.momentum)};
}

[[nodiscard]] constexpr Adam adam_scalars(const Constants& c, const RangeScalars& s, bool lamb) {
    const double correction = 1 / (1 - power(c.beta1, s.update));
    return {.scale = static_cast<float>(s.gradient_scale),
            .beta1 = static_cast<float>(c.beta1),
            .beta2 = static_cast<float>(c.beta2),
            .rate = static_cast<float>(lamb ? correction : s.lr * correction),
            .root = static_cast<float>(1 / std::sqrt(1 - power(c.beta2, s.update))),
            .eps = static_cast<float>(c.eps),
            .decay = static_cast<float>(lamb ? s.weight_decay : 1 - s.lr * s.weight_decay),
            .step = static_cast<float>(s.lr * s.trust)};
}

/// T of lars, from sums of squares of the weights and of the summed gradient.
[[nodiscard]] constexpr double lars_trust(double coefficient, double weight_squares, double gradient_squares,
                                          const RangeScalars& s) {
    const double weight = std::sqrt(weight_squares);
    const double gradient = std::sqrt(gradient_squares) * s.gradient_scale;
    if (!(weight > 0 && gradient > 0)) return 1;
    return coefficient * weight / (gradient + s.weight_decay * weight);
}

/// T of lamb, from sums of squares of the weights and of r.
[[nodiscard]] constexpr double lamb_trust(double weight_squares, double direction_squares) {
    const double weight = std::sqrt(weight_squares);
    const double direction = std::sqrt(direction_squares);
    return weight > 0 && direction > 0 ? weight / direction : 1;
}

struct Clipping {
    double norm = 0;   ///< of the mean gradient, before clipping
    double scale = 1;  ///< of the gradient
    bool clipped = false;
};

/// `scale`: of the gradient before clipping; `squares`: the sum of squares of all gradients.
[[nodiscard]] constexpr Clipping clipping(double scale, double most, double squares) {
    constexpr double margin = 1e-6;  // as PyTorch's
    Clipping c{.norm = scale * std::sqrt(squares), .scale = scale, .clipped = false};
    const double factor = most / (c.norm + margin);
    c.clipped = factor < 1;
    if (c.clipped) c.scale = scale * factor;
    return c;
}

}  // namespace trireme::rules
