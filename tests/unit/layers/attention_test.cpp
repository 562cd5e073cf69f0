// What attention and embeddings mean, beside their derivatives: values that follow from the definition.
#include <cmath>

#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/layers/differences.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

constexpr std::int64_t positions = 6;
constexpr std::int64_t heads = 2;
constexpr std::int64_t width = 3;
constexpr std::int64_t channels = heads * width;

std::vector<double> attend(const std::vector<double>& x) {
    const CausalSelfAttention op{.heads = heads};
    const Shape in{positions, 3 * channels};
    std::vector<double> y(positions * channels);
    reference::forward(op, {in}, infer_shape(op, {in}), 1, {.inputs = {x}, .params = {}, .output = y});
    return y;
}

std::size_t at(std::int64_t position, std::int64_t part, std::int64_t channel) {
    return static_cast<std::size_t>(position * 3 * channels + part * channels + channel);
}

TEST(Attention, APositionSeesItselfAndThoseBeforeIt) {
    const std::vector<double> x = random_values("x", positions * 3 * channels);
    const std::vector<double> y = attend(x);
    for (std::int64_t c = 0; c < channels; ++c)
        EXPECT_DOUBLE_EQ(y[static_cast<std::size_t>(c)], x[at(0, 2, c)])
            << "the first sees its own value alone";
    std::vector<double> changed = x;
    for (std::int64_t part = 0; part < 3; ++part) changed[at(4, part, 1)] += 1;
    const std::vector<double> after = attend(changed);
    for (std::int64_t t = 0; t < positions; ++t) {
        for (std::int64_t c = 0; c < channels; ++c) {
            const auto i = static_cast<std::size_t>(t * channels + c);
            if (t < 4 || c >= width) {
                EXPECT_EQ(after[i], y[i]) << "position " << t << ", channel " << c;
            } else {
                EXPECT_NE(after[i], y[i]) << "position " << t << ", channel " << c;
            }
        }
    }
}

TEST(Attention, EqualScoresGiveTheMeanOfTheValues) {
    std::vector<double> x = random_values("x", positions * 3 * channels);
    for (std::int64_t t = 0; t < positions; ++t) {
        for (std::int64_t c = 0; c < channels; ++c) x[at(t, 0, c)] = 0;
    }
    const std::vector<double> y = attend(x);
    for (std::int64_t c = 0; c < channels; ++c) {
        double sum = 0;
        for (std::int64_t t = 0; t < positions; ++t) {
            sum += x[at(t, 2, c)];
            EXPECT_NEAR(y[static_cast<std::size_t>(t * channels + c)], sum / static_cast<double>(t + 1),
                        1e-15);
        }
    }
}

TEST(Attention, ScoresAreDividedByTheRootOfTheWidth) {
    // Two positions, one head of width 4: weights of position 1 are those of scores q.k / 2.
    const CausalSelfAttention op{.heads = 1};
    std::vector<double> x(2 * 12, 0.0);
    x[12] = 3;      // query of position 1: (3, 0, 0, 0)
    x[4] = 1;       // key of position 0: (1, 0, 0, 0)
    x[8 + 2] = 10;  // value of position 0, third channel
    std::vector<double> y(8);
    reference::forward(op, {{2, 12}}, {2, 4}, 1, {.inputs = {x}, .params = {}, .output = y});
    EXPECT_NEAR(y[4 + 2], 10 * std::exp(1.5) / (std::exp(1.5) + 1), 1e-14);
}

TEST(Attention, ShapesThatDoNotFitAreNamed) {
    const auto mistake = [](const Op& op, const std::vector<Shape>& inputs) -> std::string {
        try {
            (void)infer_shape(op, inputs);
        } catch (const ConfigError& error) {
            return error.what();
        }
        return "none";
    };
    EXPECT_NE(mistake(CausalSelfAttention{.heads = 5}, {{8, 48}}).find("multiple of 3 * heads = 15"),
              std::string::npos);
    EXPECT_NE(mistake(CausalSelfAttention{}, {{48}}).find("rank 2 is needed"), std::string::npos);
    EXPECT_NE(mistake(Embedding{.features = 3}, {{8}}).find("vocabulary is 0"), std::string::npos);
    EXPECT_NE(mistake(SoftmaxCrossEntropy{}, {{8, 5}, {7}}).find("of shape [8]"), std::string::npos);
    EXPECT_EQ(infer_shape(Embedding{.vocabulary = 5, .features = 3}, {{8}}), (Shape{8, 3}));
    EXPECT_EQ(infer_shape(SoftmaxCrossEntropy{}, {{8, 5}, {8}}), Shape{});
}

/// A table that is also the head: its gradient is the sum of both uses, and tokens are symbols, not numbers.
TEST(Attention, ATiedTableGetsTheGradientOfBothUses) {
    ModelGraph g("tied", {4}, {4}, DType::i32, DType::i32);
    const TensorId x = g.add("wte", Embedding{.vocabulary = 5, .features = 3}, {g.input()});
    const TensorId logits =
        g.add_with_params("head", Linear{.out_features = 5}, {x}, {g.nodes().front().params.front()});
    g.add("loss", SoftmaxCrossEntropy{}, {logits, g.target()});
    EXPECT_EQ(g.params().size(), 1U);
    EXPECT_THROW(g.add("again", Relu{}, {g.input()}), ConfigError) << "tokens are no numbers";

    reference::Model model(g);
    const std::span<double> table = model.param(0);
    const std::vector<double> start = random_values("table", 15);
    std::copy(start.begin(), start.end(), table.begin());
    const std::vector<double> symbols{0, 3, 3, 1};
    const std::vector<double> next{3, 3, 1, 4};
    model.forward(1, symbols, next);
    model.backward();
    const std::vector<double> gradient(model.param_gradient(0).begin(), model.param_gradient(0).end());
    const auto loss = [&] {
        model.forward(1, symbols, next);
        return model.loss_sum();
    };
    expect_gradient(loss, table, gradient, "table", 1e-9);
}

}  // namespace
}  // namespace trireme::layers
