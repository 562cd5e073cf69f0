// Every provider of the CUDA back end, on every op that it takes, in each type of activation, against the
// fp64 reference.
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/parity/expectations.hpp"

namespace trireme::parity {
namespace {

/// With algorithms that repeat their bits, as canonical jobs have them.
class GpuParity : public testing::TestWithParam<DType> {
  protected:
    /// Convolutions in fp32 round their operands to TF32 unless this says otherwise when CUDA starts.
    static void SetUpTestSuite() { ::setenv("NVIDIA_TF32_OVERRIDE", "0", 1); }
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
    }
    static void check(const std::vector<OpCase>& cases, Repeats repeats = Repeats::same_bits) {
        Backend backend = gpu::managed_backend({.deterministic = repeats == Repeats::same_bits});
        ASSERT_FALSE(backend.providers.empty());
        const bool half = GetParam() != DType::f32;
        expect_parity_of_all(backend, half ? stored_as(GetParam(), cases) : cases, 1, Batches::all, repeats);
    }
};

TEST_P(GpuParity, Convolution) { check(convolution_cases()); }
TEST_P(GpuParity, Linear) { check(linear_cases()); }
TEST_P(GpuParity, Pools) { check(pool_cases()); }
TEST_P(GpuParity, Elementwise) { check(elementwise_cases()); }
TEST_P(GpuParity, Normalization) { check(normalization_cases()); }
TEST_P(GpuParity, Dropout) { check(dropout_cases()); }
TEST_P(GpuParity, Joining) { check(joining_cases()); }
TEST_P(GpuParity, GlobalAverage) { check(global_average_cases()); }
TEST_P(GpuParity, Embedding) { check(embedding_cases()); }
TEST_P(GpuParity, Attention) { check(attention_cases()); }
TEST_P(GpuParity, FeedForward) { check(feed_forward_cases()); }
/// Not in bf16, where the cases have values at kinks: chains are made in fp16 alone.
TEST_P(GpuParity, ConvNormChains) {
    if (GetParam() != DType::bf16) check(conv_norm_chain_cases());
}

INSTANTIATE_TEST_SUITE_P(Types, GpuParity, testing::Values(DType::f32, DType::bf16, DType::f16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

/// With the algorithms that libraries choose first, of those nodes that are a library's.
class GpuFastParity : public GpuParity {
  protected:
    static void check(const std::vector<OpCase>& cases) { GpuParity::check(cases, Repeats::any_bits); }
};

TEST_P(GpuFastParity, Convolution) { check(convolution_cases()); }
TEST_P(GpuFastParity, Linear) { check(linear_cases()); }
TEST_P(GpuFastParity, Attention) { check(attention_cases()); }
TEST_P(GpuFastParity, FeedForward) { check(feed_forward_cases()); }
TEST_P(GpuFastParity, ConvNormChains) {
    if (GetParam() != DType::bf16) check(conv_norm_chain_cases());
}

INSTANTIATE_TEST_SUITE_P(Types, GpuFastParity, testing::Values(DType::f32, DType::bf16, DType::f16),
                         [](const auto& type) { return std::string(name_of(type.param)); });

class GpuLossParity : public GpuParity {};

// Losses read fp32, as the rewrites leave them.
TEST_P(GpuLossParity, Loss) { check(loss_cases()); }
TEST_P(GpuLossParity, VectorLoss) { check(vector_loss_cases()); }

INSTANTIATE_TEST_SUITE_P(Types, GpuLossParity, testing::Values(DType::f32),
                         [](const auto& type) { return std::string(name_of(type.param)); });

}  // namespace
}  // namespace trireme::parity
