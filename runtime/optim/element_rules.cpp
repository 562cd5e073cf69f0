#include "runtime/optim/element_rules.hpp"

#include <bit>

namespace trireme::rules {
namespace {

double added(LaneSums sums) {
    for (std::int64_t half = lanes / 2; half > 0; half /= 2) {
        for (std::int64_t i = 0; i < half; ++i) sums[i] += sums[i + half];
    }
    return sums[0];
}

}  // namespace

void sgd(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g) {
    const Sgd k = s;
    for (std::int64_t i = 0; i < n; ++i) sgd_element(k, w[i], g[i]);
}

void sgd_momentum(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
                  float* __restrict velocity) {
    const Sgd k = s;
    for (std::int64_t i = 0; i < n; ++i) sgd_momentum_element(k, w[i], g[i], velocity[i]);
}

void sgd_nesterov(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
                  float* __restrict velocity) {
    const Sgd k = s;
    for (std::int64_t i = 0; i < n; ++i) sgd_nesterov_element(k, w[i], g[i], velocity[i]);
}

void lars(const Sgd& s, std::int64_t n, float* __restrict w, const float* __restrict g,
          float* __restrict velocity) {
    const Sgd k = s;
    for (std::int64_t i = 0; i < n; ++i) lars_element(k, w[i], g[i], velocity[i]);
}

void adamw(const Adam& s, std::int64_t n, float* __restrict w, const float* __restrict g, float* __restrict m,
           float* __restrict v) {
    const Adam k = s;
    for (std::int64_t i = 0; i < n; ++i) adamw_element(k, w[i], g[i], m[i], v[i]);
}

double lamb_moments(const Adam& s, std::int64_t n, const float* __restrict w, const float* __restrict g,
                    float* __restrict m, float* __restrict v) {
    const Adam k = s;
    LaneSums sums{};
    const auto one = [&](std::int64_t i, double& sum) {
        moments_element(k, g[i], m[i], v[i]);
        sum += square_of(lamb_direction(k, w[i], m[i], v[i]));
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
    for (std::int64_t i = 0; i < n; ++i) lamb_element(k, w[i], m[i], v[i]);
}

void average(float decay, std::int64_t n, float* __restrict ema, const float* __restrict w) {
    for (std::int64_t i = 0; i < n; ++i) average_element(decay, ema[i], w[i]);
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
    const auto one = [&](std::int64_t i, double& sum) { sum += square_of(values[i]); };
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
