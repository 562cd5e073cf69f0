// Gradients by finite differences.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <string>

#include <gtest/gtest.h>

namespace trireme::layers {

/// Central differences of `loss` at `values`, which it reads, against `gradient`. The tolerance is relative
/// above 1.
inline void expect_gradient(const std::function<double()>& loss, std::span<double> values,
                            std::span<const double> gradient, const std::string& what, double tolerance) {
    constexpr double h = 1e-5;
    ASSERT_EQ(values.size(), gradient.size());
    for (std::size_t i = 0; i < values.size(); ++i) {
        const double kept = values[i];
        values[i] = kept + h;
        const double above = loss();
        values[i] = kept - h;
        const double below = loss();
        values[i] = kept;
        const double want = (above - below) / (2 * h);
        ASSERT_NEAR(gradient[i], want, tolerance * std::max(1.0, std::abs(want))) << what << " element " << i;
    }
}

}  // namespace trireme::layers
