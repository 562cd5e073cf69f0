// Early stop, steps that are thrown away, and batch norm's running statistics.
#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "runtime/optim/block_table.hpp"
#include "runtime/optim/early_stop.hpp"
#include "runtime/optim/running_statistics.hpp"
#include "runtime/optim/step_guard.hpp"

namespace trireme {
namespace {

constexpr double nan_value = std::numeric_limits<double>::quiet_NaN();

TEST(EarlyStop, CountsEvaluationsWithoutGain) {
    EarlyStop stop(2);
    EXPECT_FALSE(stop.update(1.0));
    EXPECT_FALSE(stop.update(1.0));  // equal is no gain
    EXPECT_FALSE(stop.update(0.9));  // a gain starts anew
    EXPECT_FALSE(stop.update(nan_value));
    EXPECT_DOUBLE_EQ(stop.best(), 0.9);
    EXPECT_TRUE(stop.update(0.95));
    EXPECT_TRUE(EarlyStop(1, 0.5).update(0.6));
}

TEST(EarlyStop, GoesOnFromACheckpoint) {
    EarlyStop first(3);
    for (double loss : {0.5, 0.6, 0.7}) EXPECT_FALSE(first.update(loss));
    EarlyStop again(3, first.best(), first.without_gain());
    EXPECT_TRUE(again.update(0.8));
}

TEST(StepGuard, StopsAtOnce) {
    StepGuard guard(NanPolicy::stop);
    std::vector<float> gradients(100, 1.0F);
    EXPECT_TRUE(guard.admit(true, all_finite(gradients)));
    EXPECT_THROW((void)guard.admit(false, false), NumericError);
    gradients[63] = std::numeric_limits<float>::infinity();
    try {
        (void)guard.admit(true, all_finite(gradients));
        FAIL() << "an infinite gradient passed";
    } catch (const NumericError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("a gradient is not finite"));
        EXPECT_THAT(error.what(), testing::HasSubstr("job.nan = skip"));
    }
}

TEST(StepGuard, SkipsAndCounts) {
    StepGuard guard(NanPolicy::skip, 5);
    std::vector<float> gradients(100, 1.0F);
    EXPECT_FALSE(guard.admit(false, false));
    gradients[0] = static_cast<float>(nan_value);
    EXPECT_FALSE(guard.admit(true, all_finite(gradients)));
    gradients[0] = 0;
    EXPECT_TRUE(guard.admit(true, all_finite(gradients)));
    EXPECT_EQ(guard.skipped(), 7);
}

TEST(StepGuard, GivesUpWhenNothingPasses) {
    StepGuard guard(NanPolicy::skip);
    for (std::int64_t i = 1; i < StepGuard::most_in_a_row; ++i) EXPECT_FALSE(guard.admit(false, false));
    EXPECT_TRUE(guard.admit(true, true));  // one good step starts the count anew
    for (std::int64_t i = 1; i < StepGuard::most_in_a_row; ++i) EXPECT_FALSE(guard.admit(false, false));
    EXPECT_THROW((void)guard.admit(false, false), NumericError);
}

TEST(StepGuard, LeavesStepsOutUnderEitherPolicyWhileALossScaleFalls) {
    for (const NanPolicy policy : {NanPolicy::stop, NanPolicy::skip}) {
        StepGuard guard(policy);
        EXPECT_FALSE(guard.admit(true, false, /*scale_fell=*/true));
        EXPECT_FALSE(guard.admit(false, false, true));
        EXPECT_TRUE(guard.admit(true, true));
        EXPECT_EQ(guard.skipped(), 2);
    }
    StepGuard guard(NanPolicy::stop);
    EXPECT_FALSE(guard.admit(true, false, true));
    EXPECT_THROW((void)guard.admit(true, false, false), NumericError);  // at its least
}

TEST(RunningStatistics, PoolsLeavesOfUnequalSizes) {
    // Two leaves of 3 and 1 values of one channel: {1, 2, 6} and {5}.
    const std::vector<double> first{1, 2, 6};
    const double mean = 3;
    const double unbiased = (4 + 1 + 9) / 2.0;
    const std::vector<float> sums{static_cast<float>(3 * mean + 5), static_cast<float>(3 * unbiased + 0),
                                  static_cast<float>(3 * mean * mean + 25)};
    std::vector<float> running_mean{10};
    std::vector<float> running_variance{2};
    update_running(sums, 4, 0.25, running_mean, running_variance);
    const double pooled_mean = 14 / 4.0;
    const double between =
        (3 * (mean - pooled_mean) * (mean - pooled_mean) + (5 - pooled_mean) * (5 - pooled_mean)) / 4;
    EXPECT_FLOAT_EQ(running_mean[0], static_cast<float>(0.75 * 10 + 0.25 * pooled_mean));
    EXPECT_FLOAT_EQ(running_variance[0], static_cast<float>(0.75 * 2 + 0.25 * (3 * unbiased / 4 + between)));
}

TEST(RunningStatistics, RoundingNeverGivesANegativeVariance) {
    const float value = 1000.1F;  // one leaf: S2 is a rounded n mean^2
    const double n = 7;
    const std::vector<float> sums{
        static_cast<float>(n * static_cast<double>(value)), 0,
        std::nextafter(static_cast<float>(n * static_cast<double>(value) * static_cast<double>(value)),
                       0.0F)};
    std::vector<float> mean{0};
    std::vector<float> variance{0};
    update_running(sums, n, 1, mean, variance);
    EXPECT_GE(variance[0], 0.0F);
    EXPECT_THROW(update_running(sums, 0, 1, mean, variance), InternalError);
}

}  // namespace
}  // namespace trireme
