// The kernels around cuDNN's graphs run on the CPU: graphs by their definitions, conversions, the order of
// weights and sums by the bodies of our own kernels, next to the fp64 reference.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/hostrun/checked_cases.hpp"
#include "tests/hostrun/host_cudnn.hpp"

namespace trireme::hostrun {
namespace {

using parity::KernelBench;
using parity::OpCase;
using ::testing::HasSubstr;

using Host = HostRun<HostCudnn>;

void check(Host& host, const std::vector<OpCase>& cases) {
    check_cases(host, cases, [&](KernelBench& bench) {
        const parity::Results results = expect_any_order(host, bench);
        parity::expect_same_bits(results, bench.train({.input_gradient_first = true}));
    });
}

std::vector<OpCase> in_batches(std::vector<OpCase> cases, const std::vector<std::int64_t>& batches) {
    for (OpCase& op_case : cases) op_case.batches = batches;
    return cases;
}

std::vector<OpCase> attention_cases() {
    const auto heads = [](std::int64_t count) { return layers::CausalSelfAttention{.heads = count}; };
    return {{heads(2), {8, 3 * 2 * 16}, {1, 3}},
            {heads(3), {33, 3 * 3 * 8}, {2}},
            {heads(1), {2, 3 * 40}, {1, 5}}};
}

/// Both sides in one type: there is no other attention in cuDNN.
std::vector<OpCase> attention_in(DType half) {
    std::vector<OpCase> cases = attention_cases();
    for (OpCase& op_case : cases) op_case.input_dtype = op_case.output_dtype = half;
    return cases;
}

std::string refusal_of(Host& host, const OpCase& op_case) {
    return KernelBench(host.backend, host.provider, op_case, 2, 1).refusal();
}

TEST(Cudnn, Convolutions) {
    Host host;
    check(host, in_batches(parity::convolution_cases(), {1, 3}));
}

/// Where the library cannot add the residual, a kernel of ours does, and applies relu: next to the reference
/// in the same precision, stored in fp32, or on one side in bf16.
TEST(Cudnn, ResidualsBehindTheGraph) {
    Host host(DeviceModel{.cudnn = 91300, .tf32 = false});
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) { return !spec.residual && !spec.relu; };
    std::vector<OpCase> cases = parity::convolution_cases();
    std::erase_if(cases,
                  [](const OpCase& op_case) { return !std::get<layers::Conv2d>(op_case.op).residual; });
    ASSERT_GT(cases.size(), 5U);
    check(host, in_batches(cases, {2}));
}

TEST(Cudnn, ConvolutionsInBf16) {
    Host host;
    check(host, in_batches(parity::stored_as(DType::bf16, parity::convolution_cases()), {2}));
}

/// The mixes are bf16's: what is converted is the same.
TEST(Cudnn, ConvolutionsInFp16) {
    Host host;
    std::vector<OpCase> cases = parity::convolution_cases();
    for (OpCase& op_case : cases) op_case.input_dtype = op_case.output_dtype = DType::f16;
    check(host, in_batches(std::move(cases), {2}));
}

/// Chains have an order: what backward_input reads is made by backward_weight.
void check_chains(Host& host, const std::vector<OpCase>& cases) {
    check_cases(host, cases, [&](KernelBench& bench) {
        const parity::Results results = expect_any_order(host, bench);
        if ((bench.needs().backward_in_place >> 1 & 1) != 0)
            parity::expect_same_bits(results, bench.train({.backward_in_place = 1}));
    });
}

/// In the type in which nothing hides behind a rounding: joined, wholly apart, and each graph apart alone.
TEST(Cudnn, ChainsWithNorms) {
    Host host;
    check_chains(host, parity::conv_norm_chain_cases());
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) { return !is_joined(spec.kind); };
    check_chains(host, parity::conv_norm_chain_cases());
    for (const cudnn::GraphKind missing :
         {cudnn::GraphKind::conv_statistics, cudnn::GraphKind::normalized_conv_statistics,
          cudnn::GraphKind::normalized_weight_gradient, cudnn::GraphKind::input_gradient_norm_sums}) {
        host.provider.graphs().has = [=](const cudnn::GraphSpec& spec) { return spec.kind != missing; };
        check_chains(host, parity::conv_norm_chain_cases());
    }
}

TEST(Cudnn, ChainsWithNormsInFp16) {
    Host host;
    std::vector<OpCase> cases = parity::conv_norm_chain_cases();
    for (OpCase& op_case : cases) op_case.input_dtype = op_case.output_dtype = DType::f16;
    check_chains(host, cases);
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) { return !is_joined(spec.kind); };
    check_chains(host, cases);
}

TEST(Cudnn, ThePlanSaysWhatOfAChainIsApart) {
    Host host;
    const OpCase op_case = parity::conv_norm_chain_cases()[2];
    const auto said = [&] { return KernelBench(host.backend, host.provider, op_case, 2, 1).describe(); };
    EXPECT_EQ(said(), "chain:tf32 of 2");
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) {
        return spec.kind != cudnn::GraphKind::input_gradient_norm_sums;
    };
    EXPECT_EQ(said(), "chain:tf32 of 2, apart:input_gradient_norm_sums");
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) {
        return spec.kind != cudnn::GraphKind::conv_forward && !is_joined(spec.kind);
    };
    EXPECT_EQ(refusal_of(host, op_case), "conv_forward: the test has no plan for it");
}

TEST(Cudnn, Attention) {
    Host host;
    check(host, attention_in(DType::bf16));
    check(host, attention_in(DType::f16));
}

TEST(Cudnn, WhatHasNoPlanIsRefusedInTheLibrarysWords) {
    Host host;
    const OpCase op_case{layers::Conv2d{.out_channels = 4}, {3, 3, 2}, {2}};
    host.provider.graphs().has = [](const cudnn::GraphSpec& spec) {
        return spec.kind != cudnn::GraphKind::conv_weight_gradient;
    };
    EXPECT_EQ(refusal_of(host, op_case), "conv_weight_gradient: the test has no plan for it");
}

/// A conversion must fit the cap, a workspace shrinks to what the cap leaves.
TEST(Cudnn, WhatDoesNotFitTheCapIsRefused) {
    Host host;
    OpCase op_case{layers::Conv2d{.out_channels = 4, .bias = true}, {32, 32, 16}, {2}};
    host.provider.cap = Bytes(16 << 10);
    EXPECT_EQ(refusal_of(host, op_case), "");
    op_case.output_dtype = DType::bf16;
    EXPECT_THAT(refusal_of(host, op_case), HasSubstr("over the cap of 16.0 KiB (job.workspace_mb)"));
}

}  // namespace
}  // namespace trireme::hostrun
