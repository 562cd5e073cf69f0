// Every provider that this build has, on every op that it takes: forward, input gradient and parameter
// gradients against the fp64 reference on the same fp32 values, for several batch sizes and one and two
// kernel threads.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/parity/expectations.hpp"

namespace trireme::parity {
namespace {

class Parity : public testing::TestWithParam<int> {
  protected:
    /// All providers on all cases: every batch size on one thread; on several the largest, where there is
    /// work to share.
    static void check(const std::vector<OpCase>& cases) {
        Backend backend = make_backend("cpu", GetParam());
        expect_parity_of_all(backend, cases, GetParam(), GetParam() == 1 ? Batches::all : Batches::largest);
    }
};

TEST_P(Parity, Convolution) { check(convolution_cases()); }
TEST_P(Parity, Linear) { check(linear_cases()); }
TEST_P(Parity, Pools) { check(pool_cases()); }
TEST_P(Parity, Elementwise) { check(elementwise_cases()); }
TEST_P(Parity, Loss) { check(loss_cases()); }
TEST_P(Parity, VectorLoss) { check(vector_loss_cases()); }
TEST_P(Parity, Normalization) { check(normalization_cases()); }
TEST_P(Parity, Dropout) { check(dropout_cases()); }
TEST_P(Parity, Joining) { check(joining_cases()); }
TEST_P(Parity, GlobalAverage) { check(global_average_cases()); }
TEST_P(Parity, Embedding) { check(embedding_cases()); }
TEST_P(Parity, Attention) { check(attention_cases()); }
TEST_P(Parity, FeedForward) { check(feed_forward_cases()); }
TEST_P(Parity, ConvNormChains) { check(conv_norm_chain_cases()); }

// Activations stored as bf16. Losses read fp32, as the rewrite leaves them.
TEST_P(Parity, ConvolutionInBf16) { check(stored_as(DType::bf16, convolution_cases())); }
TEST_P(Parity, LinearInBf16) { check(stored_as(DType::bf16, linear_cases())); }
TEST_P(Parity, PoolsInBf16) { check(stored_as(DType::bf16, pool_cases())); }
TEST_P(Parity, ElementwiseInBf16) { check(stored_as(DType::bf16, elementwise_cases())); }
TEST_P(Parity, NormalizationInBf16) { check(stored_as(DType::bf16, normalization_cases())); }
TEST_P(Parity, DropoutInBf16) { check(stored_as(DType::bf16, dropout_cases())); }
TEST_P(Parity, JoiningInBf16) { check(stored_as(DType::bf16, joining_cases())); }
TEST_P(Parity, EmbeddingInBf16) { check(stored_as(DType::bf16, embedding_cases())); }
TEST_P(Parity, AttentionInBf16) { check(stored_as(DType::bf16, attention_cases())); }
TEST_P(Parity, FeedForwardInBf16) { check(stored_as(DType::bf16, feed_forward_cases())); }
TEST_P(Parity, GlobalAverageInBf16) { check(stored_as(DType::bf16, global_average_cases())); }

/// Scores of thousands, which overflow an exponential unless the largest is taken out. In fp32 they are off
/// by a few ten-thousandths before the exponential already, so gradients can be no nearer than that.
TEST(Attention, LargeScores) {
    Backend backend = make_backend("cpu", 1);
    const OpCase op_case{layers::CausalSelfAttention{.heads = 2}, {33, 48}, {3}, Values::large};
    KernelBench bench(backend, *backend.providers.front(), op_case, 3, 1);
    const Results trained = bench.train();
    const Results want = bench.reference(trained.output);
    expect_near("output", trained.output, want.output, 1e-3);
    expect_near("gradient", trained.d_inputs.front(), want.d_inputs.front(), 1e-3);
}

std::vector<std::vector<OpCase>> all_cases() {
    return {convolution_cases(), linear_cases(),         pool_cases(),          elementwise_cases(),
            loss_cases(),        vector_loss_cases(),    normalization_cases(), dropout_cases(),
            joining_cases(),     global_average_cases(), embedding_cases(),     attention_cases()};
}

INSTANTIATE_TEST_SUITE_P(Threads, Parity, testing::Values(1, 2));

// The gradient of logits over a large vocabulary is converted to bf16 piece by piece.
TEST(LinearInBf16, AHeadInPieces) {
    Backend backend = make_backend("cpu", 2);
    const OpCase head{.op = layers::Linear{.out_features = 4099},
                      .input = {3},
                      .batches = {2100},
                      .input_dtype = DType::bf16};
    KernelBench bench(backend, *backend.providers.front(), head, 2100, 2);
    expect_parity(bench, head);
}

/// The reference refuses nothing and is asked last.
TEST(Providers, TheLastTakesEverything) {
    Backend backend = make_backend("cpu", 1);
    ASSERT_FALSE(backend.providers.empty());
    const KernelProvider& last = *backend.providers.back();
    EXPECT_EQ(last.name(), "reference");
    std::vector<std::vector<OpCase>> every = all_cases();
    every.push_back(feed_forward_cases());
    every.push_back(conv_norm_chain_cases());
    for (const auto& cases : every) {
        for (const OpCase& op_case : cases) {
            EXPECT_EQ(KernelBench(backend, last, op_case, 1, 1).refusal(), "") << op_case.name();
        }
    }
}

/// A provider that refuses by mistake (its library's errors count as refusals) would pass everything above.
/// The first one of this build has fp32 kernels for all of these shapes, on every processor.
TEST(Providers, TheFirstRefusesNoneOfTheseShapes) {
    Backend backend = make_backend("cpu", 1);
    const KernelProvider& first = *backend.providers.front();
    ASSERT_NE(first.name(), "reference");
    for (const auto& cases : all_cases()) {
        for (const OpCase& op_case : cases) {
            const KernelBench bench(backend, first, op_case, op_case.batches.back(), 1);
            EXPECT_EQ(bench.refusal(), "") << op_case.name();
        }
        EXPECT_FALSE(KernelBench(backend, first, cases.front(), 1, 1).describe().empty());
    }
}

TEST(Providers, TheFirstRefusesNoneOfTheseShapesInBf16) {
    Backend backend = make_backend("cpu", 1);
    if (const std::string caveat = bf16_caveat(*backend.device); !caveat.empty()) GTEST_SKIP() << caveat;
    for (const auto& cases :
         {convolution_cases(), linear_cases(), pool_cases(), elementwise_cases(), normalization_cases(),
          dropout_cases(), joining_cases(), global_average_cases(), embedding_cases(), attention_cases()}) {
        for (const OpCase& op_case : stored_as(DType::bf16, cases)) {
            const KernelBench bench(backend, *backend.providers.front(), op_case, op_case.batches.back(), 1);
            EXPECT_EQ(bench.refusal(), "") << op_case.name();
        }
    }
}

}  // namespace
}  // namespace trireme::parity
