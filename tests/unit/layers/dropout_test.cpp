// Dropout: the mask is a function of seed, step, node name, position in the global batch and element, so that
// cutting a batch otherwise changes nothing.
#include <cmath>

#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

using Values = std::vector<double>;

Values dropped(double p, std::int64_t batch, const LaunchContext& context, std::string_view name = "drop",
               bool training = true, std::int64_t elements = 50) {
    const Values ones(static_cast<std::size_t>(batch * elements), 1.0);
    Values y(ones.size(), 1e300);
    reference::forward(Dropout{p}, {{elements}}, {elements}, batch,
                       {.inputs = {ones},
                        .params = {},
                        .output = y,
                        .training = training,
                        .context = context,
                        .node_name = name});
    return y;
}

TEST(Dropout, FollowsItsFormula) {
    const Values y = dropped(0.25, 3, {7, 4, 100});
    const RandomStream stream(7, "dropout/drop", 4);
    for (std::size_t i = 0; i < y.size(); ++i) {
        const bool kept = stream.uniform(100 * 50 + i) >= 0.25f;
        EXPECT_EQ(y[i], kept ? 1 / 0.75 : 0) << i;
    }
}

TEST(Dropout, DoesNotDependOnHowABatchIsCut) {
    const Values whole = dropped(0.5, 6, {7, 4, 32});
    Values parts;
    for (const auto& [first, count] : {std::pair{32, 1}, {33, 3}, {36, 2}}) {
        const Values part = dropped(0.5, count, {7, 4, first});
        parts.insert(parts.end(), part.begin(), part.end());
    }
    EXPECT_EQ(parts, whole);
}

TEST(Dropout, SeedStepAndNameChangeTheMask) {
    const Values y = dropped(0.5, 2, {7, 4, 0});
    EXPECT_EQ(y, dropped(0.5, 2, {7, 4, 0}));
    EXPECT_NE(y, dropped(0.5, 2, {8, 4, 0}));
    EXPECT_NE(y, dropped(0.5, 2, {7, 5, 0}));
    EXPECT_NE(y, dropped(0.5, 2, {7, 4, 2}));
    EXPECT_NE(y, dropped(0.5, 2, {7, 4, 0}, "other"));
}

TEST(Dropout, KeepsTheMeanAndLeavesEvaluationAlone) {
    const Values y = dropped(0.3, 400, {1, 0, 0});
    double mean = 0;
    for (double v : y) mean += v / static_cast<double>(y.size());
    // 20,000 draws: the standard deviation of the mean is sqrt(0.3 / 0.7 / 20000) = 0.0046.
    EXPECT_NEAR(mean, 1, 0.02);
    EXPECT_EQ(dropped(0.3, 4, {1, 0, 0}, "drop", false), Values(200, 1.0));
    EXPECT_EQ(dropped(0, 4, {1, 0, 0}), Values(200, 1.0));
}

TEST(Dropout, AMaskNeedsTheNameOfItsNode) {
    EXPECT_THROW(dropped(0.5, 1, {}, ""), InternalError);
    EXPECT_NO_THROW(dropped(0.5, 1, {}, "", false));
}

}  // namespace
}  // namespace trireme::layers
