// Every op's backward against central differences of its forward, in double precision. With a step of 1e-5
// the truncation is near 1e-10 and the rounding near 1e-11, so gradients must agree to 1e-8 relative to the
// larger of 1 and their size.
#include <cmath>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "tests/unit/layers/differences.hpp"
#include "tests/unit/layers/values.hpp"

namespace trireme::layers {
namespace {

constexpr double tolerance = 1e-8;

struct Case {
    Op op;
    std::vector<Shape> inputs;
    std::int64_t batch = 2;
    bool training = true;
};

/// Classes for a cross entropy, values from 0 to 1 for the other losses.
std::vector<double> target_of(const Case& c) {
    if (std::holds_alternative<SoftmaxCrossEntropy>(c.op)) {
        return random_classes("target", c.batch * c.inputs[1].elements().value,
                              static_cast<std::uint64_t>(c.inputs[0].dims().back()));
    }
    std::vector<double> target = random_values("target", c.inputs[1].elements().value * c.batch);
    for (double& t : target) t = 0.5 * (1 + t);
    return target;
}

/// One op with values of its own. The objective is the sum of the outputs, each times a fixed random weight,
/// so that every entry of the Jacobian counts.
class Probe {
  public:
    explicit Probe(const Case& c) : case_(c), output_shape_(infer_shape(c.op, c.inputs)) {
        for (std::size_t i = 0; i < c.inputs.size(); ++i) {
            inputs_.push_back(
                random_values(fmt::format("input/{}", i), c.inputs[i].elements().value * c.batch));
        }
        if (is_loss(c.op)) inputs_[1] = target_of(c);
        if (const auto* table = std::get_if<Embedding>(&c.op)) {
            inputs_[0] = random_classes("symbols", static_cast<std::int64_t>(inputs_[0].size()),
                                        static_cast<std::uint64_t>(table->vocabulary));
        }
        for (const ParamSpec& spec : params_of(c.op, c.inputs[0], "op")) {
            params_.push_back(random_values(spec.name, spec.shape.elements().value));
        }
        for (const BufferSpec& spec : buffers_of(c.op, c.inputs[0], "op")) {
            buffers_.push_back(random_values(spec.name, spec.shape.elements().value));
            for (double& v : buffers_.back()) v = 1.5 + v;
        }
        output_.resize(static_cast<std::size_t>(output_shape_.elements().value * c.batch));
        d_output_ = random_values("d_output", static_cast<std::int64_t>(output_.size()));
    }

    double objective() {
        reference::forward(case_.op, case_.inputs, output_shape_, case_.batch,
                           {.inputs = {inputs_.begin(), inputs_.end()},
                            .params = {params_.begin(), params_.end()},
                            .output = output_,
                            .training = case_.training,
                            .buffers = {buffers_.begin(), buffers_.end()},
                            .context = context_,
                            .node_name = "op"});
        double sum = 0;
        for (std::size_t i = 0; i < output_.size(); ++i) sum += output_[i] * d_output_[i];
        return sum;
    }

    void check() {
        objective();
        std::vector<std::vector<double>> d_inputs;
        std::vector<std::vector<double>> d_params;
        for (const auto& x : inputs_) d_inputs.emplace_back(x.size(), 1e300);
        if (input_dtype(case_.op, 0) == DType::i32) d_inputs.clear();  // symbols have no gradient
        if (is_loss(case_.op)) d_inputs.pop_back();
        for (const auto& p : params_) d_params.emplace_back(p.size(), 1e300);
        reference::backward(case_.op, case_.inputs, output_shape_, case_.batch,
                            {.inputs = {inputs_.begin(), inputs_.end()},
                             .params = {params_.begin(), params_.end()},
                             .output = output_,
                             .d_output = d_output_,
                             .d_inputs = {d_inputs.begin(), d_inputs.end()},
                             .d_params = {d_params.begin(), d_params.end()},
                             .training = case_.training,
                             .buffers = {buffers_.begin(), buffers_.end()},
                             .context = context_,
                             .node_name = "op"});
        for (std::size_t i = 0; i < d_inputs.size(); ++i)
            compare(fmt::format("input {}", i), inputs_[i], d_inputs[i]);
        for (std::size_t p = 0; p < params_.size(); ++p)
            compare(fmt::format("param {}", p), params_[p], d_params[p]);
    }

  private:
    void compare(const std::string& what, std::vector<double>& values, const std::vector<double>& gradient) {
        expect_gradient([this] { return objective(); }, values, gradient, what, tolerance);
    }

    Case case_;
    Shape output_shape_;
    std::vector<std::vector<double>> inputs_;
    std::vector<std::vector<double>> params_;
    std::vector<std::vector<double>> buffers_;
    LaunchContext context_{5, 3, 11};
    std::vector<double> output_;
    std::vector<double> d_output_;
};

void check_all(const std::vector<Case>& cases) {
    for (const Case& c : cases) {
        SCOPED_TRACE(fmt::format("{}({}) of {}", name_of(c.op), attributes_of(c.op), c.inputs[0].str()));
        Probe(c).check();
    }
}

TEST(Gradients, Conv2d) {
    const Shape in{6, 5, 4};
    check_all({
        {Conv2d{.out_channels = 3}, {in}},
        {Conv2d{.out_channels = 3, .kernel = {3, 3}}, {in}, 3},
        {Conv2d{.out_channels = 2, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 1}}, {in}},
        {Conv2d{.out_channels = 2, .kernel = {2, 3}, .padding = {2, 3}, .dilation = {3, 2}}, {in}},
        {Conv2d{.out_channels = 6, .kernel = {3, 1}, .groups = 2}, {in}},
        {Conv2d{.out_channels = 4, .kernel = {2, 2}, .stride = {2, 2}, .padding = {1, 0}, .groups = 4}, {in}},
        {Conv2d{.out_channels = 4, .kernel = {2, 2}, .groups = 2, .bias = true}, {in}},
        // Depthwise, with two output channels for each input channel, and dilated.
        {Conv2d{.out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4}, {in}},
        {Conv2d{.out_channels = 4, .kernel = {3, 2}, .padding = {2, 2}, .dilation = {2, 3}, .groups = 4},
         {in}},
        {Conv2d{.out_channels = 4,
                .kernel = {3, 3},
                .padding = {1, 1},
                .bias = true,
                .activation = Activation::relu},
         {in}},
        // With a residual of the output's shape.
        {Conv2d{.out_channels = 3, .kernel = {3, 3}, .residual = true}, {in, {4, 3, 3}}, 3},
        {Conv2d{.out_channels = 2,
                .kernel = {3, 2},
                .stride = {2, 3},
                .padding = {1, 1},
                .bias = true,
                .residual = true,
                .activation = Activation::relu},
         {in, {3, 2, 2}}},
        {Conv2d{.out_channels = 4, .groups = 2, .residual = true, .activation = Activation::relu}, {in, in}},
        // An image that strides do not divide: the last rows and columns are read by no window.
        {Conv2d{.out_channels = 2, .kernel = {2, 2}, .stride = {3, 3}}, {{7, 6, 2}}},
    });
}

TEST(Gradients, Linear) {
    check_all({
        {Linear{.out_features = 3}, {{5}}, 4},
        {Linear{.out_features = 3, .bias = true}, {{2, 3, 5}}},
        {Linear{.out_features = 7, .bias = true, .activation = Activation::relu}, {{5}}, 3},
        {Linear{.out_features = 1}, {{1}}, 1},
    });
}

TEST(Gradients, FeedForward) {
    check_all({
        {FeedForward{.hidden_features = 7, .out_features = 3}, {{5}}, 4},
        {FeedForward{.hidden_features = 4, .out_features = 6}, {{3, 2}}, 2},
        {FeedForward{.hidden_features = 7, .out_features = 3, .activation_inside = HiddenActivation::relu},
         {{5}},
         3},
        {FeedForward{.hidden_features = 1, .out_features = 1}, {{1}}, 1},
    });
}

TEST(Gradients, Elementwise) {
    check_all({
        {Bias{}, {{3, 2, 4}}},
        {Relu{}, {{3, 2, 4}}, 4},
        {Tanh{}, {{3, 7}}},
        {Sigmoid{}, {{3, 7}}},
        {Flatten{}, {{3, 2, 2}}},
        {Gelu{}, {{3, 7}}, 3},
        {Gelu{.tanh = true}, {{3, 7}}, 3},
    });
}

TEST(Gradients, BatchNorm) {
    for (bool training : {true, false}) {
        check_all({
            {BatchNorm{}, {{3, 2, 4}}, 3, training},
            {BatchNorm{}, {{5}}, 6, training},  // over the samples alone
            {BatchNorm{}, {{4, 5, 1}}, 1, training},
            {BatchNorm{}, {{3}}, 1, training},  // one value a channel: its deviation is zero
            {BatchNorm{.eps = 0.1, .momentum = 0.5}, {{2, 2, 3}}, 2, training},
        });
    }
}

/// One link, and a branch of three with a stride inside; what is added is nothing, the input or another one.
TEST(Gradients, ConvNormChain) {
    const ConvNorm square{{.out_channels = 3, .kernel = {3, 3}, .padding = {1, 1}}, {}};
    const ConvNorm narrow{{.out_channels = 2}, {.eps = 0.1, .momentum = 0.5}};
    const ConvNorm strided{{.out_channels = 4, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}}, {}};
    const ConvNorm grouped{{.out_channels = 4, .kernel = {2, 2}, .groups = 2}, {}};
    const Shape in{4, 3, 3};
    for (const bool training : {true, false}) {
        check_all({
            {ConvNormChain{.links = {square}}, {in}, 3, training},
            {ConvNormChain{.links = {square}, .activation = Activation::relu}, {in}, 3, training},
            {ConvNormChain{.links = {narrow, strided, grouped}}, {in}, 3, training},
            {ConvNormChain{
                 .links = {narrow, square}, .residual = ChainResidual::input, .activation = Activation::relu},
             {in},
             3,
             training},
            {ConvNormChain{.links = {square, strided},
                           .residual = ChainResidual::second,
                           .activation = Activation::relu},
             {in, {2, 4, 4}},
             2,
             training},
        });
    }
}

TEST(Gradients, LayerNorm) {
    check_all({
        {LayerNorm{}, {{6}}, 4},
        {LayerNorm{}, {{3, 2, 5}}, 2},
        {LayerNorm{.eps = 0.1}, {{2, 3}}, 3},
        {LayerNorm{}, {{4, 1}}, 2},  // one value a row
    });
}

TEST(Gradients, Dropout) {
    for (bool training : {true, false}) {
        check_all({
            {Dropout{}, {{3, 7}}, 3, training},
            {Dropout{.p = 0.9}, {{20}}, 2, training},
            {Dropout{.p = 0}, {{5}}, 2, training},
        });
    }
}

TEST(Gradients, Joining) {
    const Shape in{3, 2, 4};
    check_all({
        {Add{}, {in, in}},
        {Add{}, {in, in, in}},
        {Add{}, {{5}, {5}, {5}, {5}}, 3},
        {Concat{}, {in, {3, 2, 1}}},
        {Concat{}, {{2, 1, 1}, {2, 1, 3}, {2, 1, 2}}, 3},
        {Concat{}, {{4}, {1}, {2}, {4}}, 2},
    });
}

TEST(Gradients, Pools) {
    for (PoolKind kind : {PoolKind::max, PoolKind::average}) {
        check_all({
            {Pool2d{.kind = kind}, {{4, 6, 2}}},
            {Pool2d{.kind = kind}, {{5, 7, 2}}},  // ragged: the last row and column are dropped
            {Pool2d{.kind = kind, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}}, {{6, 5, 3}}},
            {Pool2d{.kind = kind, .kernel = {3, 3}, .stride = {1, 1}, .padding = {1, 1}}, {{5, 4, 1}}, 3},
            {Pool2d{.kind = kind, .kernel = {1, 2}, .stride = {3, 3}},
             {{7, 8, 2}}},  // windows with gaps between
            {Pool2d{.kind = kind, .activation = Activation::relu}, {{5, 6, 2}}},
            {Pool2d{.kind = kind, .kernel = {5, 4}, .stride = {1, 1}}, {{5, 4, 2}}},
        });
    }
    check_all({{GlobalAveragePool{}, {{3, 5, 4}}, 3}, {GlobalAveragePool{}, {{1, 1, 2}}, 1}});
}

TEST(Gradients, SoftmaxCrossEntropy) {
    check_all({
        {SoftmaxCrossEntropy{}, {{10}, {}}, 5},
        {SoftmaxCrossEntropy{}, {{2}, {}}, 3},
        {SoftmaxCrossEntropy{}, {{1}, {}}, 1},
        {SoftmaxCrossEntropy{.label_smoothing = 0.1}, {{10}, {}}, 5},
        {SoftmaxCrossEntropy{.label_smoothing = 0.9}, {{2}, {}}, 3},
        {SoftmaxCrossEntropy{}, {{4, 5}, {4}}, 3},  // a class at each position
        {SoftmaxCrossEntropy{.label_smoothing = 0.1}, {{2, 3, 4}, {2, 3}}, 2},
    });
}

TEST(Gradients, LossesOverVectors) {
    check_all({
        {BceWithLogits{}, {{7}, {7}}, 3},
        {BceWithLogits{}, {{1}, {1}}, 1},
        {MeanSquaredError{}, {{7}, {7}}, 3},
        {MeanSquaredError{}, {{1}, {1}}, 1},
    });
}

TEST(Gradients, Embeddings) {
    check_all({
        {Embedding{.vocabulary = 5, .features = 3}, {{7}}, 2},
        {Embedding{.vocabulary = 2, .features = 4}, {{2, 3}}, 3},
        {PositionEmbedding{}, {{4, 3}}, 3},
    });
}

TEST(Gradients, CausalSelfAttention) {
    check_all({
        {CausalSelfAttention{.heads = 1}, {{4, 9}}},
        {CausalSelfAttention{.heads = 2}, {{5, 3 * 2 * 3}}},
        {CausalSelfAttention{.heads = 3}, {{1, 9}}, 3},
    });
}

TEST(Gradients, UnwantedOnesAreLeftAlone) {
    const std::vector<double> x = random_values("x", 6);
    const std::vector<double> weight = random_values("w", 6);
    const std::vector<double> dy = random_values("dy", 4);
    std::vector<double> d_weight(6, 1e300);
    reference::backward(Linear{.out_features = 2}, {{3}}, {2}, 2, {{x}, {weight}, {}, dy, {{}}, {d_weight}});
    EXPECT_NEAR(d_weight[0], dy[0] * x[0] + dy[2] * x[3], 1e-15);
}

}  // namespace
}  // namespace trireme::layers
