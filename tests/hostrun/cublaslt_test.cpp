// Steps for cuBLASLt (rules/cublaslt_steps.hpp) run on the CPU: products by the column-major definition,
// conversions and masks by the bodies of our own kernels, next to the fp64 reference. Once with every
// epilogue in the product, once with each of them apart, as where the library has none.
#include <functional>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/kernels/rules/cublaslt_steps.hpp"
#include "tests/hostrun/checked_cases.hpp"
#include "tests/hostrun/host_cublaslt.hpp"

namespace trireme::hostrun {
namespace {

using parity::KernelBench;
using parity::OpCase;
using ::testing::HasSubstr;

using Host = HostRun<HostCublaslt>;

void check(Host& host, const std::vector<OpCase>& cases) {
    check_cases(host, cases, [&](KernelBench& bench) { (void)expect_any_order(host, bench); });
}

/// The parity tests' shapes, the large ones with few rows, and ragged ones around the padding of rows to 8.
std::vector<OpCase> linear_cases() {
    std::vector<OpCase> cases = parity::linear_cases();
    for (OpCase& op_case : cases) op_case.batches.resize(op_case.input == Shape{800} ? 1 : 2);
    for (const std::int64_t out : {1, 7, 9, 130}) {
        for (const bool bias : {false, true}) {
            layers::Linear op{.out_features = out, .bias = bias};
            cases.push_back({op, {5, 13}, {1, 3}});
            op.activation = layers::Activation::relu;
            cases.push_back({op, {5, 13}, {1, 3}});
        }
    }
    return in_all_types(cases);
}

std::vector<OpCase> feed_forward_cases(layers::HiddenActivation inside) {
    std::vector<OpCase> cases = parity::feed_forward_cases();
    std::erase_if(cases, [&](const OpCase& op_case) {
        return std::get<layers::FeedForward>(op_case.op).activation_inside != inside;
    });
    return in_all_types(cases);
}

bool is_bare(const cublaslt::ColumnProduct& product) { return product.epilogue == cublaslt::Epilogue::none; }

TEST(Cublaslt, Linear) {
    Host host;
    check(host, linear_cases());
}

TEST(Cublaslt, LinearWithEveryEpilogueApart) {
    Host host;
    host.provider.has = is_bare;
    check(host, linear_cases());
}

TEST(Cublaslt, FeedForwardWithGelu) {
    Host host;
    check(host, feed_forward_cases(layers::HiddenActivation::gelu_tanh));
}

TEST(Cublaslt, FeedForwardWithRelu) {
    Host host;
    check(host, feed_forward_cases(layers::HiddenActivation::relu));
}

TEST(Cublaslt, FeedForwardWithEveryEpilogueApart) {
    Host host;
    host.provider.has = is_bare;
    check(host, feed_forward_cases(layers::HiddenActivation::gelu_tanh));
    // A product that is rounded to 16 bits before its bias comes has other kinks than the reference.
    std::vector<OpCase> cases = feed_forward_cases(layers::HiddenActivation::relu);
    std::erase_if(cases, [](const OpCase& c) { return is_half(c.input_dtype) || is_half(c.output_dtype); });
    check(host, cases);
}

/// The library's order of a mask's bits is its own: where it has one of the two only, both are apart.
TEST(Cublaslt, AMaskIsWrittenAndReadBySameSide) {
    for (const auto missing : {cublaslt::Epilogue::relu_aux_bias, cublaslt::Epilogue::drelu}) {
        Host host;
        host.provider.has = [&](const cublaslt::ColumnProduct& p) { return p.epilogue != missing; };
        const OpCase op_case{layers::FeedForward{24, 5, layers::HiddenActivation::relu}, {16}, {3}};
        check(host, {op_case});
        EXPECT_THAT(KernelBench(host.backend, host.provider, op_case, 3, 1).describe(),
                    HasSubstr("; apart: relu_aux_bias drelu"));
    }
}

/// Gradients that must be converted come in pieces; so do the sums of their columns.
TEST(Cublaslt, HeadsInPieces) {
    Host host;
    host.provider.cap = Bytes(65536);  // of which a half is for the pieces
    for (const DType half : {DType::bf16, DType::f16}) {
        for (const bool bias : {false, true}) {
            check(host, {{.op = layers::Linear{.out_features = 219, .bias = bias},
                          .input = {9},
                          .batches = {203},
                          .input_dtype = half}});
        }
    }
    host.provider.cap = Bytes(131072);
    for (const auto inside : {layers::HiddenActivation::relu, layers::HiddenActivation::gelu_tanh}) {
        check(host, {{.op = layers::FeedForward{17, 219, inside},
                      .input = {9},
                      .batches = {203},
                      .input_dtype = DType::bf16,
                      .param_values = DType::bf16}});
    }
}

/// What was proved is what would be run: no epilogue of the list is missing from the cases.
TEST(Cublaslt, EveryEpilogueIsAskedFor) {
    Host host;
    check(
        host,
        {{layers::Linear{.out_features = 3}, {5}, {2}},
         {layers::Linear{.out_features = 3, .bias = true}, {5}, {2}},
         {layers::Linear{.out_features = 3, .activation = layers::Activation::relu}, {5}, {2}},
         {layers::Linear{.out_features = 3, .bias = true, .activation = layers::Activation::relu}, {5}, {2}},
         {layers::FeedForward{4, 3, layers::HiddenActivation::relu}, {5}, {2}},
         {layers::FeedForward{4, 3, layers::HiddenActivation::gelu_tanh}, {5}, {2}}});
    EXPECT_EQ(host.provider.epilogues.size(), static_cast<std::size_t>(cublaslt::Epilogue::sum_a) + 1);
}

/// Without an algorithm for the bare product, or room for the partial sums of a bias's gradient, there are no
/// kernels.
TEST(Cublaslt, WhatTheLibraryHasNotIsRefusedInItsWords) {
    Host host;
    const OpCase op_case{layers::Linear{.out_features = 300, .bias = true}, {5}, {2}};
    host.provider.has = [](const auto&) { return false; };
    EXPECT_EQ(KernelBench(host.backend, host.provider, op_case, 2, 1).refusal(),
              "the test has no algorithm for it");
    host.provider.has = is_bare;
    EXPECT_EQ(KernelBench(host.backend, host.provider, op_case, 2, 1).refusal(), "");
    host.provider.cap = Bytes(1024);
    EXPECT_NE(KernelBench(host.backend, host.provider, op_case, 2, 1).refusal(), "");
}

}  // namespace
}  // namespace trireme::hostrun
