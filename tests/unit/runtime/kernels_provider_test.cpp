// Every op of every provider against layers::reference. Tolerance, relative to the largest value of a tensor:
// 1e-5 for oneDNN (fp32 sums of up to some thousand products), 1e-6 for the reference provider (its results
// are rounded to fp32 once).
#include <gtest/gtest.h>

#include "kernels_support.hpp"
#include "runtime/kernels/onednn/onednn_provider.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"

namespace trireme::testing {
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
        {"pointwise", Conv2d{.out_channels = 64, .kernel = {1, 1}, .bias = true}, {5, 5, 32}},
        {"wide", Conv2d{.out_channels = 32, .kernel = {3, 3}, .padding = {1, 1}}, {8, 8, 64}},
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
    };
}

std::vector<NodeCase> all_cases() {
    std::vector<NodeCase> cases = conv_cases();
    for (NodeCase& c : other_cases()) cases.push_back(std::move(c));
    return cases;
}

class KernelsProvider : public ::testing::TestWithParam<NodeCase> {
  protected:
    static void compare(const KernelProvider& provider, const layers::ModelGraph& graph, std::int64_t batch,
                        int threads, double tolerance) {
        SCOPED_TRACE(::testing::Message()
                     << provider.name() << ", batch " << batch << ", threads " << threads);
        const Operands operands(graph, batch, 17);
        const Results is = run_kernels(graph, provider, operands, batch, threads);
        const Results should = run_reference(graph, operands, batch);
        EXPECT_TRUE(is.guards_hold);
        EXPECT_LE(relative_error(is.output, should.output), tolerance);
        EXPECT_LE(relative_error(is.d_input, should.d_input), tolerance);
        ASSERT_EQ(is.d_params.size(), should.d_params.size());
        for (std::size_t i = 0; i < is.d_params.size(); ++i) {
            EXPECT_LE(relative_error(is.d_params[i], should.d_params[i]), tolerance) << "parameter " << i;
        }
    }
};

TEST_P(KernelsProvider, OnednnAgreesWithReference) {
    const layers::ModelGraph graph = graph_of(GetParam());
    const OnednnProvider provider;
    EXPECT_EQ(provider.refuses(request_of(graph, 3, 1)).value_or(""), "");
    compare(provider, graph, 1, 1, 1e-5);
    compare(provider, graph, 5, 2, 1e-5);
}

TEST_P(KernelsProvider, ReferenceProviderAgreesWithReference) {
    const layers::ModelGraph graph = graph_of(GetParam());
    compare(ReferenceProvider{}, graph, 2, 1, 1e-6);
}

TEST_P(KernelsProvider, TwoLaunchesGiveEqualBits) {
    const layers::ModelGraph graph = graph_of(GetParam());
    const OnednnProvider provider;
    const Operands operands(graph, 4, 5);
    const Results a = run_kernels(graph, provider, operands, 4, 2);
    const Results b = run_kernels(graph, provider, operands, 4, 2);
    EXPECT_TRUE(same_bits(a.output, b.output));
    EXPECT_TRUE(same_bits(a.d_input, b.d_input));
    for (std::size_t i = 0; i < a.d_params.size(); ++i) EXPECT_TRUE(same_bits(a.d_params[i], b.d_params[i]));
}

INSTANTIATE_TEST_SUITE_P(Ops, KernelsProvider, ::testing::ValuesIn(all_cases()),
                         [](const auto& param_info) { return param_info.param.name; });

TEST(KernelsReferenceProvider, TakesFlatten) {
    const layers::ModelGraph graph = graph_of({"flatten", layers::Flatten{}, {2, 3, 4}});
    const Operands operands(graph, 3, 1);
    EXPECT_FALSE(ReferenceProvider{}.refuses(request_of(graph, 3, 1)).has_value());
    const Results results = run_kernels(graph, ReferenceProvider{}, operands, 3, 1);
    EXPECT_TRUE(same_bits(results.output, operands.input));
    EXPECT_TRUE(same_bits(results.d_input, operands.d_output));
}

}  // namespace
}  // namespace trireme::testing
