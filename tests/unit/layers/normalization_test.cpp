// Batch norm and layer norm: values by hand, the statistics that a training forward writes, and what the
// running statistics become, for one launch and for several.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

using Values = std::vector<double>;

struct Outcome {
    Values output;
    Values statistics;
};

Outcome batch_norm(const BatchNorm& op, const Shape& shape, const Values& x,
                   const std::vector<Values>& params, const std::vector<Values>& buffers, bool training) {
    Outcome outcome{Values(x.size(), 1e300),
                    Values(static_cast<std::size_t>(statistics_of(op, shape)), 1e300)};
    reference::forward(op, {shape}, shape, static_cast<std::int64_t>(x.size()) / shape.elements().value,
                       {.inputs = {x},
                        .params = {params.begin(), params.end()},
                        .output = outcome.output,
                        .training = training,
                        .buffers = {buffers.begin(), buffers.end()},
                        .statistics = outcome.statistics});
    return outcome;
}

void expect_values(const Values& got, const Values& want, double tolerance = 1e-14) {
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << i;
}

TEST(BatchNorm, TrainingByHand) {
    // Channel 0: 1 2 3 6 over two samples of two positions, mean 3, biased variance 3.5, unbiased 14 / 3.
    // Channel 1: all 5.
    const Outcome outcome =
        batch_norm({.eps = 0.5}, {2, 1, 2}, {1, 5, 2, 5, 3, 5, 6, 5}, {{4, 7}, {10, 20}}, {}, true);
    expect_values(outcome.output, {6, 20, 8, 20, 10, 20, 16, 20});
    expect_values(outcome.statistics, {12, 20, 4 * 14.0 / 3, 0, 36, 100});
}

TEST(BatchNorm, EvaluationReadsTheRunningStatistics) {
    const Outcome outcome =
        batch_norm({.eps = 0.5}, {2}, {1, 5, 2, 9}, {{4, 7}, {10, 20}}, {{-1, 5}, {3.5, 48.5}}, false);
    expect_values(outcome.output, {14, 20, 16, 24});
    EXPECT_EQ(outcome.statistics, Values(6, 1e300));  // left alone
}

TEST(BatchNorm, OneValueSkipsTheCorrection) {
    const Outcome outcome = batch_norm({}, {2}, {3, -4}, {{1, 1}, {0.5, 0.25}}, {}, true);
    EXPECT_EQ(outcome.output, (Values{0.5, 0.25}));
    EXPECT_EQ(outcome.statistics, (Values{3, -4, 0, 0, 9, 16}));
}

/// Statistics of launches are sums: added up over three launches of different sizes they give the mean of all
/// values, and the mean of the launches' variances plus the variance of their means, weighted by size.
TEST(BatchNorm, StatisticsOfLaunchesAddUp) {
    const Values all = random_values("launches", 20);
    const std::vector<std::pair<std::size_t, std::size_t>> launches{{0, 9}, {9, 10}, {10, 20}};
    Values sum(3, 0.0);
    double weighted_variance = 0;
    double spread = 0;
    double mean = 0;
    for (double v : all) mean += v / 20;
    for (const auto& [first, end] : launches) {
        const Values part(all.begin() + static_cast<std::ptrdiff_t>(first),
                          all.begin() + static_cast<std::ptrdiff_t>(end));
        const Outcome outcome = batch_norm({}, {1}, part, {{1}, {0}}, {}, true);
        for (std::size_t i = 0; i < 3; ++i) sum[i] += outcome.statistics[i];
        const auto n = static_cast<double>(part.size());
        double own_mean = 0;
        for (double v : part) own_mean += v / n;
        double own_variance = 0;
        for (double v : part) own_variance += (v - own_mean) * (v - own_mean);
        weighted_variance += n * (part.size() > 1 ? own_variance / (n - 1) : 0) / 20;
        spread += n * (own_mean - mean) * (own_mean - mean) / 20;
    }
    EXPECT_NEAR(sum[0] / 20, mean, 1e-14);
    EXPECT_NEAR(sum[1] / 20 + sum[2] / 20 - mean * mean, weighted_variance + spread, 1e-14);
}

TEST(BatchNorm, RunningStatisticsFollowOnce) {
    ModelGraph g("m", {2, 1, 1}, {1}, DType::f32);
    TensorId t = g.add("bn", BatchNorm{.momentum = 0.25}, {g.input()});
    t = g.add("pool", GlobalAveragePool{}, {t});
    g.add("loss", MeanSquaredError{}, {t, g.target()});
    reference::Model model(g);
    EXPECT_EQ(model.buffer(0)[0], 0);
    EXPECT_EQ(model.buffer(1)[0], 1);
    EXPECT_THROW(model.update_buffers(), InternalError);
    const Values x{1, 2, 3, 6};
    const Values target{0, 0};
    model.forward(2, x, target);
    EXPECT_EQ(model.buffer(0)[0], 0);
    model.update_buffers();
    EXPECT_NEAR(model.buffer(0)[0], 0.75, 1e-15);
    EXPECT_NEAR(model.buffer(1)[0], 0.75 + 0.25 * 14 / 3, 1e-15);
    // An evaluation reads them and leaves them alone.
    model.forward(2, x, target, {.training = false});
    EXPECT_THROW(model.update_buffers(), InternalError);
    EXPECT_NEAR(model.buffer(0)[0], 0.75, 1e-15);
}

TEST(BatchNorm, WrongSizesAreCaught) {
    EXPECT_THROW(batch_norm({}, {2}, {3, -4}, {{1, 1}, {0, 0}}, {}, false), InternalError);
    EXPECT_THROW(batch_norm({}, {2}, {3, -4}, {{1, 1}, {0, 0}}, {{1, 1}, {0}}, false), InternalError);
}

TEST(LayerNorm, ByHand) {
    // Rows 1 2 3 6 (mean 3, variance 3.5) and 0 0 0 0.
    Values y(8, 1e300);
    const Values x{1, 2, 3, 6, 0, 0, 0, 0};
    const Values weight{2, 2, 2, 4};
    const Values bias{0, 0, 1, 1};
    reference::forward(LayerNorm{.eps = 0.5}, {{2, 4}}, {2, 4}, 1, {{x}, {weight, bias}, y});
    expect_values(y, {-2, -1, 1, 7, 0, 0, 1, 1});
}

}  // namespace
}  // namespace trireme::layers
