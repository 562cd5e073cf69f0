// A network trains to the same parameters with and without the fusions, within rounding, in both precisions.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "stepper.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme::test {
namespace {

constexpr int steps = 25;

/// All parameters after `steps` steps, in name order.
std::vector<float> trained(const layers::ModelGraph& graph, const std::string& device,
                           std::int64_t microbatches) {
    Stepper stepper(graph, device, 2, microbatches);
    for (int step = 0; step < steps; ++step) stepper.step();
    std::vector<float> all;
    for (const layers::ParamId p : stepper.state().by_name()) {
        const std::span<float> values = stepper.state().param(p);
        all.insert(all.end(), values.begin(), values.end());
    }
    return all;
}

/// How far the parameters came from where they started, and the largest difference of `b` from `a`.
struct Distance {
    float moved = 0;
    float apart = 0;
};
Distance distance_of(const layers::ModelGraph& graph, const std::vector<float>& a,
                     const std::vector<float>& b) {
    Stepper start(graph, "reference", 1, 1);
    Distance distance;
    std::size_t i = 0;
    for (const layers::ParamId p : start.state().by_name()) {
        for (const float value : start.state().param(p)) {
            distance.moved = std::max(distance.moved, std::abs(a[i] - value));
            distance.apart = std::max(distance.apart, std::abs(a[i] - b[i]));
            ++i;
        }
    }
    EXPECT_EQ(i, a.size());
    EXPECT_EQ(i, b.size());
    return distance;
}

TEST(FusedTraining, ResidualsOfConvolutionsTrainToTheSameParameters) {
    const layers::ModelGraph separate = test::tiny_conv_residual();
    const layers::ModelGraph fused = test::tiny_conv_residual_fused();
    ASSERT_EQ(fused.nodes().size() + 14, separate.nodes().size());
    const std::vector<float> should = trained(separate, "reference", 1);
    for (const std::int64_t microbatches : {1, 3}) {
        SCOPED_TRACE(microbatches);
        for (const auto& [graph, device] :
             {std::pair(separate, "cpu"), std::pair(fused, "cpu"), std::pair(fused, "reference")}) {
            const Distance distance = distance_of(graph, should, trained(graph, device, microbatches));
            EXPECT_GT(distance.moved, 0.05F);
            EXPECT_LE(distance.apart, 1e-4F * distance.moved) << graph.nodes().size() << " nodes, " << device;
        }
    }
}

TEST(FusedTraining, ResidualsOfConvolutionsTrainInBf16) {
    const std::vector<float> should = trained(test::tiny_conv_residual(), "reference", 1);
    const layers::ModelGraph fused = layers::store_as_bf16(test::tiny_conv_residual_fused()).graph;
    for (const std::string device : {"cpu", "reference"}) {
        const Distance distance = distance_of(fused, should, trained(fused, device, 1));
        EXPECT_LE(distance.apart, 0.1F * distance.moved) << device;
    }
}

}  // namespace
}  // namespace trireme::test
