// What we tell cuDNN is what our definitions say: every kind of graph in every type, on random operands,
// interpreted by the emulated library and computed in fp64 by tests/support/host_graphs.hpp.
#include <gtest/gtest.h>

#include "tests/emulated/cudnn/graph_trial.hpp"

namespace trireme::emulated {
namespace {

using cudnn::AttentionGeometry;
using cudnn::ConvGeometry;
using cudnn::GraphKind;
using cudnn::GraphSpec;

constexpr std::int64_t workspace = std::int64_t{1} << 20;

ConvGeometry with_output(ConvGeometry g) {
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::int64_t taps = (g.kernel[axis] - 1) * g.dilation[axis] + 1;
        g.output[axis] = (g.input[axis] + 2 * g.padding[axis] - taps) / g.stride[axis] + 1;
    }
    return g;
}

/// Plain ones, then such that differ along each axis in all that can differ.
std::vector<ConvGeometry> geometries() {
    std::vector<ConvGeometry> all{
        {.batch = 3,
         .input = {8, 8},
         .channels = 16,
         .out_channels = 32,
         .kernel = {3, 3},
         .padding = {1, 1}},
        {.batch = 2, .input = {12, 11}, .channels = 1, .out_channels = 20, .kernel = {5, 5}},
        {.batch = 2, .input = {7, 7}, .channels = 48, .out_channels = 24},
        {.batch = 2, .input = {7, 8}, .channels = 5, .out_channels = 8, .stride = {2, 2}},
        {.batch = 2,
         .input = {21, 17},
         .channels = 3,
         .out_channels = 16,
         .kernel = {7, 7},
         .stride = {2, 2},
         .padding = {3, 3}},
        {.batch = 3,
         .input = {11, 6},
         .channels = 3,
         .out_channels = 7,
         .kernel = {3, 5},
         .stride = {1, 2},
         .padding = {2, 1}},
        {.batch = 2, .input = {10, 5}, .channels = 6, .out_channels = 4, .kernel = {1, 4}, .stride = {3, 1}},
        {.batch = 2,
         .input = {11, 8},
         .channels = 4,
         .out_channels = 6,
         .kernel = {2, 3},
         .padding = {0, 3},
         .dilation = {4, 3}},
        {.batch = 2,
         .input = {2, 3},
         .channels = 16,
         .out_channels = 8,
         .kernel = {3, 3},
         .padding = {3, 3},
         .dilation = {3, 3}},
        {.batch = 2,
         .input = {8, 7},
         .channels = 6,
         .out_channels = 12,
         .kernel = {3, 3},
         .padding = {1, 1},
         .groups = 3},
        {.batch = 2,
         .input = {12, 11},
         .channels = 16,
         .out_channels = 16,
         .kernel = {5, 3},
         .stride = {2, 2},
         .padding = {2, 1},
         .groups = 16},
        {.batch = 2,
         .input = {12, 13},
         .channels = 4,
         .out_channels = 8,
         .kernel = {3, 3},
         .stride = {2, 2},
         .dilation = {2, 2},
         .groups = 2},
    };
    for (ConvGeometry& g : all) g = with_output(g);
    return all;
}

class EmulatedCudnn : public testing::TestWithParam<DType> {
  protected:
    GraphTrial trial_;
};

TEST_P(EmulatedCudnn, Convolutions) {
    for (const ConvGeometry& g : geometries()) {
        GraphSpec spec{.dtype = GetParam(), .conv = g, .tf32 = false, .workspace = workspace};
        trial_.check(spec);
        spec.bias = true;
        trial_.check(spec);
        spec.relu = true;
        trial_.check(spec);
        spec.residual = true;
        trial_.check(spec);
        spec.bias = false;
        trial_.check(spec);
    }
}

TEST_P(EmulatedCudnn, GradientsOfConvolutions) {
    for (const ConvGeometry& g : geometries()) {
        for (const GraphKind kind : {GraphKind::conv_input_gradient, GraphKind::conv_weight_gradient}) {
            trial_.check(
                {.kind = kind, .dtype = GetParam(), .conv = g, .tf32 = false, .workspace = workspace});
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Types, EmulatedCudnn, testing::Values(DType::f32, DType::bf16, DType::f16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

class EmulatedAttention : public EmulatedCudnn {};

TEST_P(EmulatedAttention, ForwardAndBackward) {
    for (const AttentionGeometry& g :
         {AttentionGeometry{2, 2, 8, 16}, AttentionGeometry{1, 3, 65, 8}, AttentionGeometry{2, 1, 130, 64},
          AttentionGeometry{1, 8, 33, 48}, AttentionGeometry{3, 2, 2, 128}}) {
        GraphSpec spec{.kind = GraphKind::attention_forward,
                       .dtype = GetParam(),
                       .attention = g,
                       .workspace = workspace};
        trial_.check(spec);
        spec.keeps = true;
        trial_.check(spec);
        spec.kind = GraphKind::attention_backward;
        spec.keeps = false;
        trial_.check(spec);
        spec.deterministic = true;
        trial_.check(spec);
    }
}

INSTANTIATE_TEST_SUITE_P(Types, EmulatedAttention, testing::Values(DType::bf16, DType::f16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

class EmulatedChains : public testing::Test {
  protected:
    GraphTrial trial_;
};

TEST_F(EmulatedChains, GraphsOfConvolutionsAndNorms) {
    for (ConvGeometry g : {ConvGeometry{.batch = 3,
                          .input = {6, 5},
                          .channels = 16,
                          .out_channels = 8,
                          .kernel = {3, 3},
                          .padding = {1, 1}},
                           ConvGeometry{.batch = 4, .input = {7, 9}, .channels = 8, .out_channels = 24},
                           ConvGeometry{.batch = 2,
                           .input = {9, 8},
                           .channels = 24,
                           .out_channels = 16,
                           .kernel = {3, 3},
                           .stride = {2, 2},
                           .padding = {1, 1}}}) {
        g = with_output(g);
        for (const GraphKind kind :
             {GraphKind::conv_statistics, GraphKind::normalized_conv_statistics,
              GraphKind::normalized_weight_gradient, GraphKind::input_gradient_norm_sums}) {
            trial_.check({.kind = kind, .dtype = DType::f16, .conv = g, .workspace = workspace});
        }
    }
}

}  // namespace
}  // namespace trireme::emulated
