#include "runtime/optim/optimizer.hpp"

#include <cmath>

#include <gtest/gtest.h>

#include "runtime/optim/lr_schedule.hpp"

namespace trireme {
namespace {

/// PyTorch's formulas in double, one element.
struct Scalar {
    double w = 0.7;
    double a = 0;  // momentum or exp_avg
    double b = 0;  // exp_avg_sq
    void step(const OptimizerSpec& s, double lr, double g, int t) {
        if (s.name == "adamw") {
            w *= 1 - lr * s.weight_decay;
            a = s.beta1 * a + (1 - s.beta1) * g;
            b = s.beta2 * b + (1 - s.beta2) * g * g;
            w -= lr / (1 - std::pow(s.beta1, t)) * a /
                 (std::sqrt(b) / std::sqrt(1 - std::pow(s.beta2, t)) + s.eps);
            return;
        }
        double d = g + s.weight_decay * w;
        if (s.momentum != 0) {
            a = t == 1 ? d : s.momentum * a + d;  // PyTorch starts the buffer with the first gradient
            d = s.nesterov ? d + s.momentum * a : a;
        }
        w -= lr * d;
    }
};

void compare(const OptimizerSpec& spec) {
    constexpr int elements = 5;
    std::vector<float> w(elements, 0.7f);
    std::vector<float> g(elements);
    std::vector<std::vector<float>> state(state_names(spec).size(), std::vector<float>(elements));
    std::vector<std::span<float>> spans(state.begin(), state.end());
    std::vector<Scalar> truth(elements);
    for (int t = 1; t <= 20; ++t) {
        const double lr = 0.1 / t;
        for (int i = 0; i < elements; ++i)
            g[static_cast<std::size_t>(i)] = static_cast<float>(std::sin(3.0 * t + i)) * 8;
        update(spec, {lr, spec.weight_decay, 0.125, 1, t}, w, g, spans);  // gradients are sums over 8 samples
        for (int i = 0; i < elements; ++i) {
            const auto at = static_cast<std::size_t>(i);
            truth[at].step(spec, lr, static_cast<double>(g[at]) / 8, t);
            EXPECT_NEAR(w[at], truth[at].w, 2e-6) << spec.name << " step " << t;
        }
    }
}

TEST(Optimizer, SgdIsPyTorchs) {
    compare({.name = "sgd"});
    compare({.name = "sgd", .weight_decay = 0.05});
    compare({.name = "sgd", .momentum = 0.9, .weight_decay = 0.01});
    compare({.name = "sgd", .momentum = 0.9, .nesterov = true, .weight_decay = 0.01});
}

TEST(Optimizer, AdamWIsPyTorchs) { compare({.name = "adamw", .weight_decay = 0.1}); }

TEST(Optimizer, UpdatesAnyRangeAlike) {
    const OptimizerSpec spec{.name = "sgd", .momentum = 0.9};
    std::vector<float> whole(10, 1.0f);
    std::vector<float> parts = whole;
    const std::vector<float> g{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    std::vector<float> m1(10);
    std::vector<float> m2(10);
    const std::vector<std::span<float>> s1{m1};
    update(spec, {.lr = 0.1}, whole, g, s1);
    for (std::size_t cut : {0u, 3u, 7u}) {
        const std::size_t end = cut == 0 ? 3 : cut == 3 ? 7 : 10;
        const std::vector<std::span<float>> s2{std::span(m2).subspan(cut, end - cut)};
        update(spec, {.lr = 0.1}, std::span(parts).subspan(cut, end - cut),
               std::span(g).subspan(cut, end - cut), s2);
    }
    EXPECT_EQ(whole, parts);
    EXPECT_EQ(m1, m2);
}

TEST(LrSchedule, WarmsUpAndFalls) {
    LrSchedule s{.kind = "cosine", .base = 1, .warmup = 10, .horizon = 110};
    EXPECT_DOUBLE_EQ(s.at(0), 0.1);
    EXPECT_DOUBLE_EQ(s.at(9), 1);
    EXPECT_DOUBLE_EQ(s.at(10), 1);
    EXPECT_NEAR(s.at(60), 0.5, 1e-12);
    EXPECT_NEAR(s.at(110), 0, 1e-12);
    EXPECT_NEAR(s.at(500), 0, 1e-12);
    s.kind = "linear";
    s.floor = 0.2;
    EXPECT_NEAR(s.at(60), 0.6, 1e-12);
    s.kind = "step";
    EXPECT_DOUBLE_EQ(s.at(54), 1);
    EXPECT_DOUBLE_EQ(s.at(55), 0.1);
    EXPECT_NEAR(s.at(83), 0.01, 1e-15);
    s.kind = "constant";
    EXPECT_DOUBLE_EQ(s.at(100), 1);
}

}  // namespace
}  // namespace trireme
