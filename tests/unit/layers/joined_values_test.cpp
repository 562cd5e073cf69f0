// Values by hand of the ops that join tensors, of gelu and of the losses over vectors, and what each of them
// refuses.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

using testing::HasSubstr;
using Values = std::vector<double>;

Values forward_of(const Op& op, const std::vector<Shape>& shapes, std::int64_t batch,
                  const std::vector<Values>& inputs) {
    const Shape out = infer_shape(op, shapes);
    Values output(static_cast<std::size_t>(out.elements().value * batch), -1e300);
    reference::forward(op, shapes, out, batch, {{inputs.begin(), inputs.end()}, {}, output});
    return output;
}

Values loss_gradient_of(const Op& op, const Shape& shape, std::int64_t batch, const Values& x,
                        const Values& target) {
    const std::vector<Shape> shapes{shape, std::holds_alternative<SoftmaxCrossEntropy>(op) ? Shape{} : shape};
    Values d(x.size(), 1e300);
    reference::backward(op, shapes, {}, batch, {{x, target}, {}, {}, {}, {d}, {}});
    return d;
}

std::string message_of(const Op& op, const std::vector<Shape>& shapes) {
    try {
        static_cast<void>(infer_shape(op, shapes));
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "nothing was thrown";
}

TEST(JoinedValues, AddAndConcatByHand) {
    EXPECT_EQ(forward_of(Add{}, {{2}, {2}, {2}}, 2, {{1, 2, 3, 4}, {10, 20, 30, 40}, {5, 5, 5, 5}}),
              (Values{16, 27, 38, 49}));
    EXPECT_EQ(forward_of(Concat{}, {{2, 1}, {2, 2}}, 2, {{1, 2, 3, 4}, {10, 11, 20, 21, 30, 31, 40, 41}}),
              (Values{1, 10, 11, 2, 20, 21, 3, 30, 31, 4, 40, 41}));
    EXPECT_EQ(infer_shape(Concat{}, {{4, 5, 2}, {4, 5, 3}, {4, 5, 1}}), (Shape{4, 5, 6}));
}

TEST(JoinedValues, GradientsThatAreNotWantedAreSkipped) {
    const Values x{1, 2};
    const Values dy{3, 4};
    Values d(2, -1);
    reference::backward(Add{}, {{2}, {2}, {2}}, {2}, 1, {{x, x, x}, {}, {}, dy, {{}, d, {}}, {}});
    EXPECT_EQ(d, dy);
    const Values joined{5, 6, 7, 8};
    reference::backward(Concat{}, {{2}, {2}}, {4}, 1, {{x, x}, {}, {}, joined, {{}, d}, {}});
    EXPECT_EQ(d, (Values{7, 8}));
}

TEST(JoinedValues, GlobalAverageByHand) {
    EXPECT_EQ(forward_of(GlobalAveragePool{}, {{2, 1, 2}}, 2, {{1, 10, 3, 30, 5, 50, 7, 90}}),
              (Values{2, 20, 6, 70}));
}

TEST(JoinedValues, GeluAgreesWithPublishedValues) {
    const Values exact = forward_of(Gelu{}, {{5}}, 1, {{0, 1, -1, 40, -40}});
    EXPECT_EQ(exact[0], 0);
    EXPECT_NEAR(exact[1], 0.84134474606854293, 1e-15);  // the normal distribution function at 1
    EXPECT_NEAR(exact[2], -0.15865525393145707, 1e-15);
    EXPECT_EQ(exact[3], 40);
    EXPECT_NEAR(exact[4], 0, 1e-300);
    const Values approximate = forward_of(Gelu{.tanh = true}, {{3}}, 1, {{0, 1, -1}});
    EXPECT_NEAR(approximate[1], 0.84119199060827670, 1e-14);
    EXPECT_NEAR(approximate[2], -0.15880800939172324, 1e-14);
}

TEST(JoinedValues, LabelSmoothingByHand) {
    const double normaliser = std::log(std::exp(1) + std::exp(2) + std::exp(3));
    const Op op = SoftmaxCrossEntropy{.label_smoothing = 0.3};
    EXPECT_NEAR(forward_of(op, {{3}, {}}, 1, {{1, 2, 3}, {2}})[0], normaliser - (0.1 * 1 + 0.1 * 2 + 0.8 * 3),
                1e-14);
    const Values d = loss_gradient_of(op, {3}, 1, {1, 2, 3}, {2});
    EXPECT_NEAR(d[0], std::exp(1 - normaliser) - 0.1, 1e-15);
    EXPECT_NEAR(d[2], std::exp(3 - normaliser) - 0.8, 1e-15);
}

TEST(JoinedValues, BceIsStableForLargeLogits) {
    const Values x{1e4, -1e4, 1e4, -1e4, 0, 0};
    const Values target{1, 0, 0, 1, 0.5, 1};
    const Values loss = forward_of(BceWithLogits{}, {{2}, {2}}, 3, {x, target});
    EXPECT_EQ(loss[0], 0);
    EXPECT_EQ(loss[1], 1e4);
    EXPECT_NEAR(loss[2], std::log(2), 1e-15);
    EXPECT_EQ(loss_gradient_of(BceWithLogits{}, {2}, 3, x, target), (Values{0, 0, 0.5, -0.5, 0, -0.25}));
}

TEST(JoinedValues, MeanSquaredErrorByHand) {
    EXPECT_EQ(forward_of(MeanSquaredError{}, {{2}, {2}}, 2, {{1, 2, 3, 4}, {0, 4, 3, 5}}),
              (Values{2.5, 0.5}));
    EXPECT_EQ(loss_gradient_of(MeanSquaredError{}, {2}, 2, {1, 2, 3, 4}, {0, 4, 3, 5}),
              (Values{1, -2, 0, -1}));
}

TEST(JoinedValues, BceRefusesTargetsThatAreNoProbabilities) {
    for (double target : {-0.1, 1.5, std::nan("")}) {
        EXPECT_THROW(forward_of(BceWithLogits{}, {{1}, {1}}, 1, {{0}, {target}}), DataError) << target;
    }
}

TEST(JoinedValues, WrongShapesAreTold) {
    EXPECT_EQ(
        message_of(Add{}, {{4, 4, 2}, {4, 4, 3}}),
        "add: input 1 has shape [4, 4, 3], but input 0 has [4, 4, 2]: all inputs must have one shape; let "
        "a convolution or linear layer bring the branches together");
    EXPECT_EQ(
        message_of(Concat{}, {{4, 4, 2}, {4, 3, 2}}),
        "concat: input 1 has shape [4, 3, 2], but input 0 has [4, 4, 2]: they may differ in the last axis "
        "alone");
    EXPECT_THAT(message_of(Concat{}, {{4}, {4, 1}}), HasSubstr("concat: input 1 has shape [4, 1]"));
    EXPECT_THAT(message_of(Concat{}, {Shape{}, Shape{}}), HasSubstr("rank 1 or more is needed"));
    EXPECT_EQ(message_of(Add{}, {{4}}), "add: 1 inputs are given, but it reads 2 or more");
    EXPECT_THAT(message_of(GlobalAveragePool{}, {{4}}),
                HasSubstr("rank 3 is needed: height, width, channels"));
    EXPECT_THAT(message_of(BatchNorm{}, {Shape{}}),
                HasSubstr("batch_norm: the input has shape [] of rank 0"));
    EXPECT_THAT(message_of(LayerNorm{}, {Shape{}}),
                HasSubstr("layer_norm: the input has shape [] of rank 0"));
    EXPECT_EQ(
        message_of(MeanSquaredError{}, {{4}, {3}}),
        "mean_squared_error: the target has shape [3], but the outputs have [4]: the model must end in as "
        "many outputs as the data set has targets");
    EXPECT_THAT(message_of(BceWithLogits{}, {{2, 2}, {2, 2}}), HasSubstr("put a flatten or linear in front"));
}

TEST(JoinedValues, WrongAttributesAreTold) {
    EXPECT_EQ(message_of(Dropout{1.0}, {{4}}),
              "dropout: p is 1, but must be from 0 to below 1: the probability that a value is dropped");
    EXPECT_THAT(message_of(Dropout{std::nan("")}, {{4}}), HasSubstr("dropout: p is nan"));
    EXPECT_THAT(message_of(BatchNorm{.eps = 0}, {{4}}),
                HasSubstr("batch_norm: eps is 0, but must be above 0"));
    EXPECT_THAT(message_of(BatchNorm{.momentum = 1.5}, {{4}}), HasSubstr("batch_norm: momentum is 1.5"));
    EXPECT_THAT(message_of(LayerNorm{.eps = -1}, {{4}}), HasSubstr("layer_norm: eps is -1"));
    EXPECT_THAT(message_of(SoftmaxCrossEntropy{.label_smoothing = 1}, {{4}, {}}),
                HasSubstr("label_smoothing is 1, but must be from 0 to below 1"));
}

}  // namespace
}  // namespace trireme::layers
