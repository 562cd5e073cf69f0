// Forward values of the reference against figures worked by hand and against the formula of ops.hpp evaluated
// output by output, which is another order of loops than the reference's.
#include <cmath>
#include <numeric>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

using Values = std::vector<double>;

Values forward_of(const Op& op, const std::vector<Shape>& shapes, std::int64_t batch,
                  const std::vector<Values>& inputs, const std::vector<Values>& params) {
    const Shape out = infer_shape(op, shapes);
    Values output(static_cast<std::size_t>(out.elements().value * batch), -1e300);
    reference::forward(op, shapes, out, batch,
                       {{inputs.begin(), inputs.end()}, {params.begin(), params.end()}, output});
    return output;
}

Values counting(int n) {
    Values v(static_cast<std::size_t>(n));
    std::iota(v.begin(), v.end(), 1.0);
    return v;
}

double conv_by_formula(const Conv2d& op, const Shape& in, const Values& input, const Values& weight,
                       std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t o) {
    const std::int64_t in_group = in[2] / op.groups;
    const std::int64_t group = o / (op.out_channels / op.groups);
    double sum = 0;
    for (std::int64_t i = 0; i < in_group; ++i) {
        for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
            for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
                const std::int64_t iy = y * op.stride[0] - op.padding[0] + ky * op.dilation[0];
                const std::int64_t ix = x * op.stride[1] - op.padding[1] + kx * op.dilation[1];
                if (iy < 0 || ix < 0 || iy >= in[0] || ix >= in[1]) continue;
                const auto at =
                    static_cast<std::size_t>(((n * in[0] + iy) * in[1] + ix) * in[2] + group * in_group + i);
                const auto w =
                    static_cast<std::size_t>(((o * in_group + i) * op.kernel[0] + ky) * op.kernel[1] + kx);
                sum += input[at] * weight[w];
            }
        }
    }
    return sum;
}

TEST(OpValues, ConvolutionIsItsFormula) {
    const std::vector<Conv2d> cases{
        {.out_channels = 3, .kernel = {3, 3}},
        {.out_channels = 4, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 2}},
        {.out_channels = 6,
         .kernel = {2, 3},
         .stride = {1, 2},
         .padding = {2, 0},
         .dilation = {2, 3},
         .groups = 2},
        {.out_channels = 4,
         .kernel = {3, 3},
         .padding = {1, 1},
         .groups = 4,
         .bias = true,
         .activation = Activation::relu}};
    const Shape in{7, 9, 4};
    for (const Conv2d& op : cases) {
        SCOPED_TRACE(attributes_of(op));
        const Values x = random_values("x", 2 * in.elements().value);
        std::vector<Values> params;
        for (const ParamSpec& spec : params_of(op, in, "c")) {
            params.push_back(random_values(spec.name, spec.shape.elements().value));
        }
        const Shape out = infer_shape(op, {in});
        const Values y = forward_of(op, {in}, 2, {x}, params);
        std::size_t at = 0;
        for (std::int64_t n = 0; n < 2; ++n) {
            for (std::int64_t p = 0; p < out[0] * out[1]; ++p) {
                for (std::int64_t o = 0; o < out[2]; ++o) {
                    double want = conv_by_formula(op, in, x, params[0], n, p / out[1], p % out[1], o);
                    if (op.bias) want += params[1][static_cast<std::size_t>(o)];
                    if (op.activation == Activation::relu) want = std::max(want, 0.0);
                    ASSERT_NEAR(y[at++], want, 1e-12);
                }
            }
        }
    }
}

TEST(OpValues, ConvolutionByHand) {
    // 1 2 3            the 2x2 kernel 1 10 / 100 1000 slides over it: 1 + 20 + 400 + 5000, ...
    // 4 5 6
    EXPECT_EQ(forward_of(Conv2d{.out_channels = 1, .kernel = {2, 2}}, {{2, 3, 1}}, 1, {counting(6)},
                         {{1, 10, 100, 1000}}),
              (Values{5421, 6532}));
}

TEST(OpValues, LinearByHand) {
    EXPECT_EQ(forward_of(Linear{.out_features = 2}, {{3}}, 2, {counting(6)}, {{1, 10, 100, -1, 0, 1}}),
              (Values{321, 2, 654, 2}));
    EXPECT_EQ(forward_of(Linear{.out_features = 2, .bias = true, .activation = Activation::relu}, {{3}}, 1,
                         {counting(3)}, {{1, 10, 100, -1, 0, 1}, {0.5, -3}}),
              (Values{321.5, 0}));
}

TEST(OpValues, ElementwiseByHand) {
    EXPECT_EQ(forward_of(Bias{}, {{2, 2}}, 1, {counting(4)}, {{10, 20}}), (Values{11, 22, 13, 24}));
    EXPECT_EQ(forward_of(Relu{}, {{3}}, 1, {{-1, 0, 2}}, {}), (Values{0, 0, 2}));
    EXPECT_EQ(forward_of(Flatten{}, {{2, 2}}, 1, {counting(4)}, {}), counting(4));
    EXPECT_NEAR(forward_of(Tanh{}, {{1}}, 1, {{0.5}}, {})[0], 0.46211715726000975, 1e-15);
    const Values s = forward_of(Sigmoid{}, {{3}}, 1, {{0.5, 1e4, -1e4}}, {});
    EXPECT_NEAR(s[0], 0.62245933120185456, 1e-15);
    EXPECT_EQ(s[1], 1);
    EXPECT_EQ(s[2], 0);
}

TEST(OpValues, PoolsByHand) {
    // 1 2 3        windows of 2x2 with stride 2 and one row and column of padding: 1 | 2 3 / 4 7 | 5 6 8 9
    // 4 5 6
    // 7 8 9
    const Pool2d max{.kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 1}};
    Pool2d average = max;
    average.kind = PoolKind::average;
    EXPECT_EQ(forward_of(max, {{3, 3, 1}}, 1, {counting(9)}, {}), (Values{1, 3, 7, 9}));
    EXPECT_EQ(forward_of(average, {{3, 3, 1}}, 1, {counting(9)}, {}), (Values{0.25, 1.25, 2.75, 7}));
    // Max ignores padding, also where all values are below zero; ragged edges are dropped.
    EXPECT_EQ(forward_of(max, {{2, 2, 1}}, 1, {{-4, -3, -2, -1}}, {}), (Values{-4, -3, -2, -1}));
    EXPECT_EQ(forward_of(Pool2d{}, {{3, 3, 1}}, 1, {counting(9)}, {}), (Values{5}));
    // Channels are apart.
    EXPECT_EQ(forward_of(Pool2d{}, {{2, 2, 2}}, 1, {{1, 80, 2, 70, 3, 60, 4, 50}}, {}), (Values{4, 80}));
}

TEST(OpValues, OfEqualMaximaTheFirstTakesTheGradient) {
    const Values x{2, 5, 5, 5};
    const Values y{5};
    const Values dy{3};
    Values dx(4, -1);
    reference::backward(Pool2d{}, {{2, 2, 1}}, {1, 1, 1}, 1, {{x}, {}, y, dy, {dx}, {}});
    EXPECT_EQ(dx, (Values{0, 3, 0, 0}));
}

TEST(OpValues, ReluHasNoGradientAtZero) {
    const Values x{0, -0.0, 1e-300};
    const Values dy{3, 3, 3};
    Values dx(3, -1);
    reference::backward(Relu{}, {{3}}, {3}, 1, {{x}, {}, x, dy, {dx}, {}});
    EXPECT_EQ(dx, (Values{0, 0, 3}));
}

TEST(OpValues, CrossEntropyByHand) {
    const Values loss = forward_of(SoftmaxCrossEntropy{}, {{3}, {}}, 2, {{1, 2, 3, 0, 0, 0}, {2, 1}}, {});
    EXPECT_NEAR(loss[0], std::log(1 + std::exp(-1) + std::exp(-2)), 1e-15);
    EXPECT_NEAR(loss[1], std::log(3), 1e-15);
}

TEST(OpValues, CrossEntropyIsStableForLargeLogits) {
    const Values logits{1e4, -1e4, 0, 1e4, -1e4, 0, -1e4, -1e4, -1e4};
    const Values target{0, 1, 2};
    const Values loss = forward_of(SoftmaxCrossEntropy{}, {{3}, {}}, 3, {logits, target}, {});
    EXPECT_EQ(loss[0], 0);
    EXPECT_EQ(loss[1], 2e4);
    EXPECT_NEAR(loss[2], std::log(3), 1e-11);
    Values d(9);
    reference::backward(SoftmaxCrossEntropy{}, {{3}, {}}, {}, 3, {{logits, target}, {}, {}, {}, {d}, {}});
    EXPECT_THAT(Values(d.begin(), d.begin() + 6), testing::ElementsAre(0, 0, 0, 1, -1, 0));
    EXPECT_NEAR(d[6], 1.0 / 3, 1e-11);
    EXPECT_NEAR(d[8], -2.0 / 3, 1e-11);
}

TEST(OpValues, CrossEntropyRefusesClassesOutOfRange) {
    for (double label : {-1.0, 3.0, 1.5}) {
        EXPECT_THROW(forward_of(SoftmaxCrossEntropy{}, {{3}, {}}, 1, {{1, 2, 3}, {label}}, {}), DataError)
            << label;
    }
    EXPECT_NO_THROW(forward_of(SoftmaxCrossEntropy{}, {{3}, {}}, 1, {{1, 2, 3}, {2}}, {}));
}

TEST(OpValues, WrongSizesAreCaught) {
    EXPECT_THROW(forward_of(Relu{}, {{3}}, 2, {{1, 2, 3}}, {}), InternalError);
    const Values x(3);
    Values dx(2);
    EXPECT_THROW(reference::backward(Relu{}, {{3}}, {3}, 1, {{x}, {}, x, x, {dx}, {}}), InternalError);
}

}  // namespace
}  // namespace trireme::layers
