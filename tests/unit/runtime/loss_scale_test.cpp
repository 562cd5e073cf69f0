// Loss scales on the host: no bit changes under one, a dynamic one falls before anything ends, and goes on
// where it was after a resume.
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/support/tiny_graphs.hpp"
#include "tests/unit/runtime/stepper.hpp"

namespace trireme {
namespace {

LossScaling fixed(double scale) { return {.initial = scale}; }

/// Of all parameters, times `factor`.
std::vector<float> weight_gradients(const test::Stepper& stepper, float factor = 1) {
    std::vector<float> all;
    for (std::size_t p = 0; p < stepper.state().graph().params().size(); ++p) {
        const ParamPlace& at = stepper.plan().buckets().place(static_cast<layers::ParamId>(p));
        for (std::int64_t i = at.offset; i < at.offset + at.elements; ++i)
            all.push_back(factor * stepper.gradients()[static_cast<std::size_t>(i)]);
    }
    return all;
}

TEST(LossScale, ChangesNoBitOfTheState) {
    for (const char* device : {"cpu", "reference"}) {
        for (const layers::ModelGraph& graph : {test::tiny_residual(), test::tiny_gpt()}) {
            test::Stepper plain(graph, device, 1, 2);
            test::Stepper scaled(graph, device, 1, 2, fixed(4096));
            for (int step = 0; step < 3; ++step) {
                const StepReport report = plain.step();
                EXPECT_EQ(scaled.step().loss_sum, report.loss_sum);
                EXPECT_EQ(weight_gradients(scaled), weight_gradients(plain, 4096)) << device;
            }
            EXPECT_EQ(scaled.state().state_sha256(""), plain.state().state_sha256("")) << device;
        }
    }
}

TEST(LossScale, FallsToItsLeastBeforeAJobEnds) {
    LossScaling scaling = dynamic_loss_scaling();
    scaling.initial = 8;
    scaling.interval = 2;
    test::Stepper stepper(test::tiny_convnet_fused(), "cpu", 1, 1, scaling);
    EXPECT_EQ(stepper.step().loss_scale, 8);
    EXPECT_EQ(stepper.step().loss_scale, 16);
    const std::string state = stepper.state().state_sha256("");
    stepper.spoil();  // relu hides it from the loss, and not from the weights' gradient
    for (const float scale : {8.0F, 4.0F, 2.0F, 1.0F}) {
        const StepReport report = stepper.step();
        EXPECT_TRUE(report.skipped);
        EXPECT_EQ(report.loss_scale, scale);
    }
    EXPECT_EQ(stepper.guard().skipped(), 4);
    EXPECT_THROW((void)stepper.step(), NumericError);
    EXPECT_EQ(stepper.state().state_sha256(""), state);
}

TEST(LossScale, GoesOnWhereItWas) {
    LossScaling scaling = dynamic_loss_scaling();
    scaling.interval = 5;
    test::Stepper stepper(test::tiny_convnet_fused(), "cpu", 1, 1, scaling);
    stepper.executor().restore({.update = 7, .good_in_a_row = 3, .loss_scale = 32});
    const StepReport next = stepper.step();
    EXPECT_EQ(next.loss_scale, 32);
    EXPECT_EQ(next.good_in_a_row, 4);
    EXPECT_EQ(stepper.step().loss_scale, 64);
}

}  // namespace
}  // namespace trireme
