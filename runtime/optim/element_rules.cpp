#include "runtime/optim/element_rules.hpp"

#include <array>
#include <bit>
#include <cmath>

namespace trireme::rules {
namespace {

constexpr std::int64_t lanes = 16;
using LaneSums = std::array<double, lanes>;

double added(LaneSums sums) {
    for (std::int64_t half = lanes / 2; half > 0; half /= 2) {
        for (std::int64_t i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
}

float direction(const Adam& s, float w, float m, float v) {
    return s.rate * m / (std::sqrt(v) * s.root + s.eps) + s.decay * w;
}

}  // namespace

void sgd(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g) {
    const auto [lr, scale, decay, momentum] = s;
    for (std::int64_t i = 0; i < n; ++i) w[i] -= lr * (g[i] * scale + decay * w[i]);
}

void sgd_momentum(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
                  float* __restrict velocity) {
    const auto [lr, scale, decay, momentum] = s;
    for (std::int64_t i = 0; i < n; ++i) {
        velocity[i] = momentum * velocity[i] + (g[i] * scale + decay * w[i]);
        w[i] -= lr * velocity[i];
    }
}

void sgd_nesterov(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
                  float* __restrict velocity) {
    const auto [lr, scale, decay, momentum] = s;
    for (std::int64_t i = 0; i < n; ++i) {
        const float d = g[i] * scale + decay * w[i];
        velocity[i] = momentum * velocity[i] + d;
        w[i] -= lr * (d + momentum * velocity[i]);
    }
}

void lars(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
          float* __restrict velocity) {
    const auto [lr, scale, decay, momentum] = s;
    for (std::int64_t i = 0; i < n; ++i) {
        velocity[i] = momentum * velocity[i] + lr * (g[i] * scale + decay * w[i]);
        w[i] -= velocity[i];
    }
}

void adamw(const Adam& s, std::int64_t n, float* __restrict w, const float* __restrict g, float* __restrict m,
           float* __restrict v) {
    const Adam k = s;
    for (std::int64_t i = 0; i < n; ++i) {
        const float d = g[i] * k.scale;
        m[i] = k.beta1 * m[i] + (1 - k.beta1) * d;
        v[i] = k.beta2 * v[i] + (1 - k.beta2) * d * d;
        w[i] = k.decay * w[i] - k.rate * m[i] / (std::sqrt(v[i]) * k.root + k.eps);
    }
}

double lamb_moments(const Adam& s, std::int64_t n, const float* __restrict w, const float* __restrict g,
                    float* __restrict m, float* __restrict v) {
    const Adam k = s;
    LaneSums sums{};
    const auto one = [&](std::int64_t i, double& sum) {
        const float d = g[i] * k.scale;
        m[i] = k.beta1 * m[i] + (1 - k.beta1) * d;
        v[i] = k.beta2 * v[i] + (1 - k.beta2) * d * d;
        const auto r = static_cast<double>(direction(k, w[i], m[i], v[i]));
        sum += r * r;
    };
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (std::int64_t j = 0; j < lanes; ++j) one(i + j, sums[j]);
    }
    for (std::int64_t j = 0; i + j < n; ++j) one(i + j, sums[j]);
    return added(sums);
}

void lamb(const Adam& s, std::int64_t n, float* __restrict w, const float* __restrict m,
          const float* __restrict v) {
    const Adam k = s;
    for (std::int64_t i = 0; i < n; ++i) w[i] -= k.step * direction(k, w[i], m[i], v[i]);
}

void average(float decay, std::int64_t n, float* __restrict ema, const float* __restrict w) {
    for (std::int64_t i = 0; i < n; ++i) ema[i] = decay * ema[i] + (1 - decay) * w[i];
}

void exchange(std::int64_t n, float* __restrict a, float* __restrict b) {
    for (std::int64_t i = 0; i < n; ++i) {
        const float kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
}

double sum_of_squares(std::int64_t n, const float* __restrict values) {
    LaneSums sums{};
    const auto one = [&](std::int64_t i, double& sum) {
        const auto value = static_cast<double>(values[i]);
        sum += value * value;
    };
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        for (std::int64_t j = 0; j < lanes; ++j) one(i + j, sums[j]);
    }
    for (std::int64_t j = 0; i + j < n; ++j) one(i + j, sums[j]);
    return added(sums);
}

bool all_finite(std::int64_t n, const float* __restrict values) {
    constexpr std::uint32_t exponent = 0x7f800000;
    std::uint32_t bad = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto bits = std::bit_cast<std::uint32_t>(values[i]);
        bad |= (bits & exponent) == exponent ? 1U : 0U;
    }
    return bad == 0;
}

}  // namespace trireme::rules
