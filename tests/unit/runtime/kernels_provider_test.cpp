// Every op of every provider against layers::reference. Tolerance, relative to the largest value of a tensor:
// 1e-5 for oneDNN (fp32 sums of up to some thousand products), 1e-6 for the reference provider (its results
// are rounded to fp32 once).
#include <gtest/gtest.h>

#include "kernels_support.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"

namespace trireme::test {
namespace {

using layers::Activation;
using layers::Bias;
using layers::Conv2d;
using layers::Linear;
using layers::Pool2d;
using layers::PoolKind;

std::vector<NodeCase> conv_cases() {
    return {
        {"lenet_conv1", Conv2d{.out_channels = 20, .kernel = {5, 5}, .bias = true}, {28, 28, 1}},
        {"lenet_conv2",
         Conv2d{.out_channels = 50, .kernel = {5, 5}, .bias = true, .activation = Activation::relu},
         {12, 12, 20}},
        {"no_bias", Conv2d{.out_channels = 7, .kernel = {3, 3}}, {9, 8, 3}},
        {"no_bias_relu",
         Conv2d{.out_channels = 7, .kernel = {3, 3}, .activation = Activation::relu},
         {9, 8, 3}},
        {"stride_padding",
         Conv2d{.out_channels = 16, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0}, .bias = true},
         {11, 10, 8}},
        {"dilation",
         Conv2d{.out_channels = 5, .kernel = {3, 3}, .dilation = {2, 3}, .bias = true},
         {12, 13, 4}},
        {"groups",
         Conv2d{.out_channels = 12, .kernel = {3, 3}, .padding = {1, 1}, .groups = 4, .bias = true},
         {7, 7, 8}},
        {"depthwise",
         Conv2d{.out_channels = 16, .kernel = {3, 3}, .padding = {1, 1}, .groups = 16},
         {6, 6, 16}},
        {"depthwise_stride",
         Conv2d{.out_channels = 24, .kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}, .groups = 24},
         {9, 8, 24}},
        {"depthwise_multiplier",
         Conv2d{.out_channels = 16, .kernel = {5, 5}, .padding = {2, 2}, .groups = 8, .bias = true},
         {7, 7, 8}},
        {"depthwise_dilated",
         Conv2d{.out_channels = 32, .kernel = {3, 3}, .padding = {2, 2}, .dilation = {2, 2}, .groups = 32},
         {9, 9, 32}},
        {"dilation_groups_relu",
         Conv2d{.out_channels = 12,
                .kernel = {3, 3},
                .padding = {3, 3},
                .dilation = {3, 3},
                .groups = 2,
                .bias = true,
                .activation = Activation::relu},
         {10, 9, 6}},
        {"resnet_shortcut", Conv2d{.out_channels = 32, .stride = {2, 2}}, {8, 8, 16}},
        {"pointwise", Conv2d{.out_channels = 64, .kernel = {1, 1}, .bias = true}, {5, 5, 32}},
        {"wide", Conv2d{.out_channels = 32, .kernel = {3, 3}, .padding = {1, 1}}, {8, 8, 64}},
    };
}

/// What a rewrite fuses behind a convolution: a residual with and without bias and relu.
std::vector<NodeCase> residual_cases() {
    return {
        {"residual", Conv2d{.out_channels = 16, .kernel = {3, 3}, .residual = true}, {9, 8, 8}, {16}},
        {"residual_bias",
         Conv2d{.out_channels = 7, .kernel = {3, 3}, .stride = {2, 1}, .bias = true, .residual = true},
         {9, 8, 3},
         {7}},
        {"residual_relu",
         Conv2d{.out_channels = 64, .residual = true, .activation = Activation::relu},
         {5, 5, 32},
         {64}},
        {"residual_bias_relu",
         Conv2d{.out_channels = 64,
                .kernel = {3, 3},
                .padding = {1, 1},
                .bias = true,
                .residual = true,
                .activation = Activation::relu},
         {7, 7, 64},
         {64}},
        {"residual_groups",
         Conv2d{.out_channels = 12,
                .kernel = {3, 3},
                .padding = {2, 2},
                .dilation = {2, 2},
                .groups = 4,
                .bias = true,
                .residual = true,
                .activation = Activation::relu},
         {7, 7, 8},
         {12}},
        {"residual_depthwise",
         Conv2d{.out_channels = 24,
                .kernel = {3, 3},
                .padding = {1, 1},
                .groups = 24,
                .residual = true,
                .activation = Activation::relu},
         {9, 8, 24},
         {24}},
    };
}

std::vector<NodeCase> other_cases() {
    return {
        {"lenet_linear1", Linear{.out_features = 500, .bias = true, .activation = Activation::relu}, {800}},
        {"lenet_linear2", Linear{.out_features = 10, .bias = true}, {500}},
        {"linear_no_bias", Linear{.out_features = 3}, {17}},
        {"linear_rank2", Linear{.out_features = 9, .bias = true}, {5, 6}},
        {"linear_one", Linear{.out_features = 1, .bias = true}, {1}},
        {"bias_image", Bias{}, {24, 24, 20}},
        {"bias_vector", Bias{}, {37}},
        {"relu", layers::Relu{}, {13, 11, 3}},
        {"tanh", layers::Tanh{}, {130}},
        {"sigmoid", layers::Sigmoid{}, {130}},
        {"max_pool", Pool2d{}, {24, 24, 20}},
        {"max_pool_overlap", Pool2d{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1}}, {13, 12, 5}},
        {"average_pool", Pool2d{.kind = PoolKind::average}, {8, 8, 50}},
        {"average_pool_padded",
         Pool2d{.kind = PoolKind::average, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 1}},
         {9, 7, 6}},
        {"average_pool_floor",
         Pool2d{.kind = PoolKind::average, .kernel = {3, 3}, .stride = {3, 3}},
         {11, 10, 4}},
        {"loss_10", layers::SoftmaxCrossEntropy{}, {10}},
        {"loss_2", layers::SoftmaxCrossEntropy{}, {2}},
        {"loss_1000", layers::SoftmaxCrossEntropy{}, {1000}},
        {"loss_smoothed", layers::SoftmaxCrossEntropy{.label_smoothing = 0.1}, {10}},
        {"loss_smoothed_2", layers::SoftmaxCrossEntropy{.label_smoothing = 0.9}, {2}},
        {"bce", layers::BceWithLogits{}, {37}},
        {"bce_1", layers::BceWithLogits{}, {1}},
        {"mse", layers::MeanSquaredError{}, {37}},
    };
}

std::vector<NodeCase> normalising_cases() {
    return {
        {"batch_norm_tile", layers::BatchNorm{}, {8, 8, 64}},
        {"batch_norm_wide", layers::BatchNorm{.eps = 1e-3}, {3, 2, 1100}},
        {"batch_norm_odd", layers::BatchNorm{}, {7, 5, 37}},
        {"batch_norm_many_rows", layers::BatchNorm{}, {48, 47, 3}},
        {"batch_norm_vector", layers::BatchNorm{}, {19}},
        {"batch_norm_one", layers::BatchNorm{}, {4, 4, 1}},
        {"layer_norm", layers::LayerNorm{}, {256}},
        {"layer_norm_tokens", layers::LayerNorm{.eps = 1e-6}, {130, 37}},
        {"layer_norm_wide", layers::LayerNorm{}, {3, 1100}},
        {"dropout", layers::Dropout{.p = 0.1}, {7, 5, 13}},
        {"dropout_half", layers::Dropout{}, {4096}},
        {"dropout_none", layers::Dropout{.p = 0}, {33}},
        {"dropout_one", layers::Dropout{.p = 0.9}, {1}},
        {"gelu", layers::Gelu{}, {13, 11, 3}},
        {"gelu_tanh", layers::Gelu{.tanh = true}, {13, 11, 3}},
        {"attention", layers::CausalSelfAttention{.heads = 3}, {21, 3 * 3 * 5}},
        {"attention_tiles", layers::CausalSelfAttention{.heads = 2}, {330, 3 * 2 * 48}},
        {"global_average_pool", layers::GlobalAveragePool{}, {4, 4, 512}},
        {"global_average_pool_odd", layers::GlobalAveragePool{}, {19, 17, 37}},
        {"global_average_pool_pixel", layers::GlobalAveragePool{}, {1, 1, 5}},
        {"add", layers::Add{}, {16, 16, 20}, {20}},
        {"add_four", layers::Add{}, {37}, {37, 37, 37}},
        {"concat", layers::Concat{}, {16, 16, 20}, {7}},
        {"concat_three", layers::Concat{}, {1}, {37, 4}},
    };
}

std::vector<NodeCase> all_cases() {
    std::vector<NodeCase> cases = conv_cases();
    for (const std::vector<NodeCase>& more : {residual_cases(), other_cases(), normalising_cases()}) {
        cases.insert(cases.end(), more.begin(), more.end());
    }
    return cases;
}

class KernelsProvider : public ::testing::TestWithParam<NodeCase> {
  protected:
    static void compare(const KernelProvider& provider, const layers::ModelGraph& graph, std::int64_t batch,
                        const RunMode& mode, double tolerance) {
        SCOPED_TRACE(::testing::Message() << provider.name() << ", batch " << batch << ", threads "
                                          << mode.threads << ", training " << mode.training);
        const Operands operands(graph, batch, 17);
        const Results is = run_kernels(graph, provider, operands, batch, mode);
        const Results should = run_reference(graph, operands, batch, mode);
        EXPECT_TRUE(is.guards_hold);
        EXPECT_LE(relative_error(is.output, should.output), tolerance);
        EXPECT_LE(relative_error(is.statistics, should.statistics), tolerance);
        compare_each("input", is.d_inputs, should.d_inputs, tolerance);
        compare_each("parameter", is.d_params, should.d_params, tolerance);
    }

    static bool same(const Results& a, const Results& b) {
        bool same = same_bits(a.output, b.output) && same_bits(a.statistics, b.statistics) &&
                    a.d_inputs.size() == b.d_inputs.size() && a.d_params.size() == b.d_params.size();
        for (std::size_t i = 0; same && i < a.d_inputs.size(); ++i) {
            same = same_bits(a.d_inputs[i], b.d_inputs[i]);
        }
        for (std::size_t i = 0; same && i < a.d_params.size(); ++i) {
            same = same_bits(a.d_params[i], b.d_params[i]);
        }
        return same;
    }

  private:
    static void compare_each(std::string_view what, const std::vector<std::vector<float>>& is,
                             const std::vector<std::vector<float>>& should, double tolerance) {
        ASSERT_EQ(is.size(), should.size());
        for (std::size_t i = 0; i < is.size(); ++i) {
            EXPECT_LE(relative_error(is[i], should[i]), tolerance) << what << " " << i;
        }
    }
};

TEST_P(KernelsProvider, OnednnAgreesWithReference) {
    const layers::ModelGraph graph = graph_of(GetParam());
    const OnednnProvider provider;
    EXPECT_EQ(provider.offer(request_of(graph, 3, 1)).refusal, "");
    compare(provider, graph, 1, {.threads = 1}, 1e-5);
    compare(provider, graph, 5, {.threads = 2}, 1e-5);
    compare(provider, graph, 12, {.threads = 3}, 1e-5);
    compare(provider, graph, 5, {.threads = 2, .training = false}, 1e-5);
}

TEST_P(KernelsProvider, ReferenceProviderAgreesWithReference) {
    const layers::ModelGraph graph = graph_of(GetParam());
    compare(ReferenceProvider{}, graph, 2, {}, 1e-6);
    compare(ReferenceProvider{}, graph, 2, {.training = false}, 1e-6);
}

TEST_P(KernelsProvider, TwoLaunchesGiveEqualBits) {
    const layers::ModelGraph graph = graph_of(GetParam());
    const Operands operands(graph, 4, 5);
    const Results once = run_kernels(graph, OnednnProvider{}, operands, 4, 2);
    EXPECT_TRUE(same(once, run_kernels(graph, OnednnProvider{}, operands, 4, 2)));
}

// A pipeline may put a weight's gradient off until after the input's.
TEST_P(KernelsProvider, BackwardPassesMayRunInEitherOrder) {
    const layers::ModelGraph graph = graph_of(GetParam());
    const Operands operands(graph, 4, 5);
    const Results usual = run_kernels(graph, OnednnProvider{}, operands, 4, 2);
    EXPECT_TRUE(same(usual, run_kernels(graph, OnednnProvider{}, operands, 4,
                                        RunMode{.threads = 2, .input_gradient_first = true})));
}

INSTANTIATE_TEST_SUITE_P(Ops, KernelsProvider, ::testing::ValuesIn(all_cases()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(KernelsReferenceProvider, TakesFlatten) {
    const layers::ModelGraph graph = graph_of({"flatten", layers::Flatten{}, {2, 3, 4}});
    const Operands operands(graph, 3, 1);
    EXPECT_EQ(ReferenceProvider{}.offer(request_of(graph, 3, 1)).refusal, "");
    const Results results = run_kernels(graph, ReferenceProvider{}, operands, 3, 1);
    EXPECT_TRUE(same_bits(results.output, operands.inputs[0]));
    EXPECT_TRUE(same_bits(results.d_inputs[0], operands.d_output));
}

}  // namespace
}  // namespace trireme::test
