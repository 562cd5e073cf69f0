// Shape inference, and that every mistake in a graph is told with node, op, attribute, value, shapes and
// remedy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/build.hpp"
#include "layers/graph.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/said.hpp"

namespace trireme::layers {
namespace {

ModelGraph image_model(Shape input = {28, 28, 4}) {
    return ModelGraph("m", std::move(input), {}, DType::i32);
}

/// The message for one node that reads the model's input.
std::string mistake(const Op& op, const Shape& input) {
    return test::message_of<ConfigError>([&] { image_model(input).add("n", op, {0}); });
}

TEST(Shapes, ConvolutionFollowsTheFormula) {
    EXPECT_EQ(infer_shape(Conv2d{.out_channels = 20, .kernel = {5, 5}}, {{28, 28, 1}}), (Shape{24, 24, 20}));
    EXPECT_EQ(infer_shape(Conv2d{.out_channels = 6, .kernel = {3, 5}, .stride = {2, 3}, .padding = {1, 2}},
                          {{11, 17, 3}}),
              (Shape{6, 6, 6}));
    EXPECT_EQ(infer_shape(Conv2d{.out_channels = 4, .kernel = {3, 2}, .dilation = {2, 3}, .groups = 2},
                          {{9, 9, 2}}),
              (Shape{5, 6, 4}));
    // A kernel as large as the padded input gives one pixel.
    EXPECT_EQ(infer_shape(Conv2d{.out_channels = 1, .kernel = {5, 5}, .padding = {1, 1}}, {{3, 3, 1}}),
              (Shape{1, 1, 1}));
}

TEST(Shapes, AResidualHasTheShapeOfTheOutput) {
    const Conv2d conv{.out_channels = 4, .kernel = {3, 3}, .stride = {2, 2}, .residual = true};
    EXPECT_EQ(infer_shape(conv, {{9, 7, 2}, {4, 3, 4}}), (Shape{4, 3, 4}));
    EXPECT_EQ(
        test::message_of<ConfigError>([&] {
            (void)infer_shape(conv, {{9, 7, 2}, {9, 7, 2}});
        }),
        "conv2d: the residual has shape [9, 7, 2], but the output has [4, 3, 4]: both must have one shape; "
        "let a convolution bring the branches together");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  (void)infer_shape(conv, {{9, 7, 2}});
              }),
              "conv2d: 1 inputs are given, but it reads 2");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  (void)infer_shape(Conv2d{.out_channels = 4}, {{9, 7, 2}, {9, 7, 4}});
              }),
              "conv2d: 2 inputs are given, but it reads 1");
}

TEST(Shapes, PoolsRoundDown) {
    EXPECT_EQ(infer_shape(Pool2d{}, {{5, 7, 3}}), (Shape{2, 3, 3}));
    EXPECT_EQ(infer_shape(Pool2d{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {{8, 9, 3}}),
              (Shape{4, 5, 3}));
}

TEST(Shapes, OtherOps) {
    EXPECT_EQ(infer_shape(Linear{.out_features = 7}, {{3, 5}}), (Shape{3, 7}));
    EXPECT_EQ(infer_shape(Flatten{}, {{4, 5, 6}}), (Shape{120}));
    EXPECT_EQ(infer_shape(Flatten{}, {Shape{}}), (Shape{1}));
    EXPECT_EQ(infer_shape(Bias{}, {{4, 5}}), (Shape{4, 5}));
    EXPECT_EQ(infer_shape(Tanh{}, {Shape{}}), Shape{});
    EXPECT_EQ(infer_shape(SoftmaxCrossEntropy{}, {{10}, {}}), Shape{});
}

TEST(Shapes, KernelLargerThanThePaddedInput) {
    EXPECT_EQ(
        mistake(Conv2d{.out_channels = 8, .kernel = {3, 7}, .padding = {0, 1}}, {5, 4, 4}),
        "node n: conv2d: kernel 3x7 with dilation 1x1 spans 7 columns, more than the 6 of the padded input "
        "(input [5, 4, 4], padding 0x1): use a smaller kernel or dilation, more padding, or fewer layers "
        "that shrink the image");
    EXPECT_THAT(mistake(Pool2d{.kernel = {3, 3}}, {2, 8, 1}),
                testing::HasSubstr("max_pool2d: kernel 3x3 with dilation 1x1 spans 3 rows, more than the 2"));
    EXPECT_THAT(mistake(Conv2d{.out_channels = 8, .kernel = {3, 3}, .dilation = {2, 2}}, {4, 4, 1}),
                testing::HasSubstr("kernel 3x3 with dilation 2x2 spans 5 rows"));
}

TEST(Shapes, GroupsThatDoNotDivide) {
    const std::string message = mistake(Conv2d{.out_channels = 6, .kernel = {1, 1}, .groups = 3}, {5, 5, 4});
    EXPECT_EQ(message,
              "node n: conv2d: groups is 3, which does not divide both the 4 input channels of [5, 5, 4] and "
              "out_channels 6: choose a common divisor");
    EXPECT_THAT(mistake(Conv2d{.out_channels = 6, .groups = 4}, {5, 5, 4}),
                testing::HasSubstr("groups is 4"));
}

TEST(Shapes, WrongRanks) {
    EXPECT_EQ(mistake(Conv2d{.out_channels = 1}, {5, 5}),
              "node n: conv2d: the input has shape [5, 5] of rank 2, but rank 3 is needed: height, width, "
              "channels");
    EXPECT_THAT(mistake(Pool2d{.kind = PoolKind::average}, {5}),
                testing::HasSubstr("average_pool2d: the input"));
    EXPECT_THAT(mistake(Linear{.out_features = 2}, {}), testing::HasSubstr("rank 1 or more is needed"));
    EXPECT_THAT(mistake(Bias{}, {}), testing::HasSubstr("rank 1 or more is needed"));
    auto wrong_logits = [] { image_model({2, 5}).add("loss", SoftmaxCrossEntropy{}, {0, 1}); };
    EXPECT_THAT(test::message_of<ConfigError>(wrong_logits),
                testing::HasSubstr("node loss: softmax_cross_entropy: the input has shape "
                                   "[2, 5] of rank 2"));
    auto wrong_target = [] {
        ModelGraph g("m", {5}, {5}, DType::f32);
        g.add("loss", SoftmaxCrossEntropy{}, {g.input(), g.target()});
    };
    EXPECT_THAT(test::message_of<ConfigError>(wrong_target),
                testing::HasSubstr("the target has shape [5], but a class index"));
}

TEST(Shapes, AttributesOutOfRange) {
    EXPECT_EQ(mistake(Conv2d{.out_channels = 0}, {5, 5, 1}),
              "node n: conv2d: out_channels is 0, but must be from 1 to 1099511627776");
    EXPECT_EQ(mistake(Conv2d{.out_channels = 1, .stride = {1, 0}}, {5, 5, 1}),
              "node n: conv2d: stride is 1x0, but each number must be from 1 to 1048576");
    EXPECT_THAT(mistake(Conv2d{.out_channels = 1, .groups = 0}, {5, 5, 1}),
                testing::HasSubstr("groups is 0"));
    EXPECT_THAT(mistake(Conv2d{.out_channels = 1, .kernel = {0, 1}}, {5, 5, 1}),
                testing::HasSubstr("kernel is 0x1"));
    EXPECT_THAT(mistake(Conv2d{.out_channels = 1, .padding = {-1, 0}}, {5, 5, 1}),
                testing::HasSubstr("padding is -1x0"));
    EXPECT_THAT(mistake(Conv2d{.out_channels = 1, .dilation = {0, 0}}, {5, 5, 1}),
                testing::HasSubstr("dilation is 0x0"));
    EXPECT_THAT(mistake(Linear{.out_features = -3}, {5}), testing::HasSubstr("out_features is -3"));
    EXPECT_THAT(mistake(Pool2d{.kernel = {2, 2}, .padding = {2, 0}}, {5, 5, 1}),
                testing::HasSubstr("padding 2x0 is not below kernel 2x2"));
    // Nothing overflows on the way to the message.
    EXPECT_THAT(
        mistake(Conv2d{.out_channels = 1, .kernel = {INT64_MAX, 1}, .dilation = {INT64_MAX, 1}}, {5, 5, 1}),
        testing::HasSubstr("kernel is 9223372036854775807x1"));
}

TEST(Shapes, SizesOfZeroAndBeyondTheLimit) {
    EXPECT_EQ(test::message_of<ConfigError>([] {
                  image_model({28, 0, 1});
              }),
              "model m: the input has shape [28, 0, 1], with an extent of 0: every extent must be 1 or more");
    EXPECT_THAT(test::message_of<ConfigError>([] {
                    image_model({std::int64_t{1} << 30, 1 << 11});
                }),
                testing::HasSubstr("more than 2^40 elements"));
    EXPECT_NO_THROW(image_model({std::int64_t{1} << 30, 1 << 10}));
    EXPECT_THAT(
        mistake(Linear{.out_features = std::int64_t{1} << 40}, {2, 3}),
        testing::HasSubstr("node n: linear: the output has shape [2, 1099511627776], more than 2^40"));
    EXPECT_THAT(
        mistake(Linear{.out_features = std::int64_t{1} << 30}, {1 << 20}),
        testing::HasSubstr("node n: linear: the weight has shape [1073741824, 1048576], more than 2^40"));
    EXPECT_THAT(test::message_of<ConfigError>([] {
                    static_cast<void>(infer_shape(Relu{}, {{3, -1}}));
                }),
                testing::HasSubstr("relu: an input has shape [3, -1]"));
}

TEST(Shapes, WrongTensorsAndNames) {
    ModelGraph g = image_model();
    g.add("a", Relu{}, {g.input()});
    EXPECT_EQ(
        test::message_of<ConfigError>([&] { g.add("a", Tanh{}, {g.input()}); }),
        "model m: node a (tanh) has a name that a node or the model's input or target has already: choose "
        "another");
    EXPECT_THAT(test::message_of<ConfigError>([&] { g.add("target", Tanh{}, {g.input()}); }),
                testing::HasSubstr("choose another"));
    EXPECT_EQ(
        test::message_of<ConfigError>([&] { g.add("b", Tanh{}, {3}); }),
        "node b: tanh reads tensor 3, which does not exist; the model has 3 so far: add the node that makes "
        "it first");
    EXPECT_THAT(test::message_of<ConfigError>([&] { g.add("b", Tanh{}, {-1}); }),
                testing::HasSubstr("tensor -1"));
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add("b", Tanh{}, {0, 0});
              }),
              "node b: tanh: 2 inputs are given, but it reads 1");
    EXPECT_THAT(test::message_of<ConfigError>([&] { g.add("two words", Tanh{}, {0}); }),
                testing::HasSubstr("node name \"two words\" is not valid"));
    EXPECT_THAT(test::message_of<ConfigError>([&] { g.add("", Tanh{}, {0}); }),
                testing::HasSubstr("node name \"\" is not valid"));
    EXPECT_EQ(test::message_of<ConfigError>([&] { g.add("b", Relu{}, {g.target()}); }),
              "node b: relu reads target as input 0, whose elements are i32, but needs f32");
}

TEST(Shapes, WrongParameters) {
    ModelGraph g = image_model({6});
    g.add("fc", Linear{.out_features = 4, .bias = true}, {g.input()});
    EXPECT_EQ(
        test::message_of<ConfigError>([&] { g.add_with_params("x", Linear{.out_features = 5}, {0}, {0}); }),
        "node x: linear needs a parameter of shape [5, 6], but fc.weight has shape [4, 6]");
    EXPECT_EQ(test::message_of<ConfigError>([&] {
                  g.add_with_params("x", Linear{.out_features = 4}, {0}, {0, 1});
              }),
              "node x: linear has 1 parameters, but 2 are given");
    EXPECT_EQ(
        test::message_of<ConfigError>([&] { g.add_with_params("x", Linear{.out_features = 4}, {0}, {2}); }),
        "node x: parameter 2 does not exist; the model has 2");
    EXPECT_THAT(test::message_of<ConfigError>([&] {
                    g.add_param({"fc.bias", {4}, {}});
                }),
                testing::HasSubstr("parameter fc.bias exists already"));
    EXPECT_THAT(
        test::message_of<ConfigError>([&] { linear_bias(g, "y", {.out_features = 4, .bias = true}, 0); }),
        testing::HasSubstr("has a bias or an activation of its own already"));
}

TEST(Shapes, AGraphWithoutNodesHasNoLoss) {
    EXPECT_THROW(static_cast<void>(image_model().loss()), InternalError);
    EXPECT_THROW(static_cast<void>(image_model().logits()), InternalError);
}

}  // namespace
}  // namespace trireme::layers
