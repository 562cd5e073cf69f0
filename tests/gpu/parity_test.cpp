// Every provider of the CUDA back end, on every op that it takes, in each type of activation, against the
// fp64 reference.
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/gpu/gpu_fixture.hpp"
#include "tests/parity/expectations.hpp"

namespace trireme::parity {
namespace {

class GpuParity : public testing::TestWithParam<DType> {
  protected:
    /// Convolutions in fp32 round their operands to TF32 unless this says otherwise when CUDA starts.
    static void SetUpTestSuite() { ::setenv("NVIDIA_TF32_OVERRIDE", "0", 1); }
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
    }
    /// As fast jobs compute, and as canonical ones do: of these the bits are the same at each launch.
    static void check(const std::vector<OpCase>& cases) {
        const std::vector<OpCase> stored = GetParam() != DType::f32 ? stored_as(GetParam(), cases) : cases;
        Backend fast = gpu::managed_backend();
        ASSERT_FALSE(fast.providers.empty());
        expect_parity_of_all(fast, stored, 1, Batches::all, Bits::may_differ);
        Backend canonical = gpu::managed_backend({.deterministic = true});
        expect_parity_of_all(canonical, stored, 1, Batches::largest, Bits::repeat);
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

class GpuLossParity : public GpuParity {};

// Losses read fp32, as the rewrites leave them.
TEST_P(GpuLossParity, Loss) { check(loss_cases()); }
TEST_P(GpuLossParity, VectorLoss) { check(vector_loss_cases()); }

INSTANTIATE_TEST_SUITE_P(Types, GpuLossParity, testing::Values(DType::f32),
                         [](const auto& type) { return std::string(name_of(type.param)); });

}  // namespace
}  // namespace trireme::parity
