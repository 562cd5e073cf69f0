// cuBLASLt where no GPU is. Its descriptions are host memory: every product of every preset is described in
// each precision, and the library takes every attribute. Its heuristics need a handle, and a handle a driver:
// what it says without one is kept here, so that a version that can do better is noticed.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/kernels/cublaslt/cublaslt_provider.hpp"
#include "runtime/kernels/cublaslt/matmul_plans.hpp"
#include "runtime/kernels/cublaslt/status.hpp"
#include "tests/support/recipe_products.hpp"

namespace trireme::cublaslt {
namespace {

using ::testing::HasSubstr;

TEST(DevicelessCublaslt, EveryProductOfEveryPresetIsDescribed) {
    int described = 0;
    for (const int sm : {80, 90}) {
        for (const auto& precision : trireme::test::product_precisions) {
            const DeviceModel device{.sm = sm, .tf32 = precision.tf32};
            const auto recipes = trireme::test::products_of_recipes(precision.dtype, device, 32);
            EXPECT_GT(recipes.nodes, 50);
            for (const auto& [text, product] : recipes.products) {
                SCOPED_TRACE(fmt::format("sm_{} {}: {}", sm, precision.name, text));
                for (const bool deterministic : {false, true})
                    EXPECT_NO_THROW((void)MatmulDescription(product, deterministic));
                ++described;
            }
        }
    }
    fmt::print("deviceless: cuBLASLt {} takes the descriptions of {} products\n", cublasLtGetVersion(),
               described);
}

/// A leading dimension is checked against nothing, an attribute's size is: the library does look.
TEST(DevicelessCublaslt, TheLibraryChecksWhatItIsTold) {
    ColumnProduct product{
        .a = {4, 4, 4, DType::f32, 64}, .b = {4, 4, 4, DType::f32, 64}, .d = {4, 4, 4, DType::f32, 64}};
    MatmulDescription description(product, false);
    const std::int8_t small = 0;
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(description.operation(), CUBLASLT_MATMUL_DESC_EPILOGUE, &small,
                                             sizeof(small)),
              CUBLAS_STATUS_INVALID_VALUE);
}

TEST(DevicelessCublaslt, HeuristicsNeedADriverAndSayIt) {
    if (cuda::ask_driver().state == cuda::DriverAnswer::State::ready) GTEST_SKIP() << "a GPU is here";
    cublasLtHandle_t handle = nullptr;
    EXPECT_EQ(words_of(cublasLtCreate(&handle)),
              "CUBLAS_STATUS_NOT_INITIALIZED (the library was not initialized)");
    ColumnProduct product{
        .a = {4, 4, 4, DType::f32, 64}, .b = {4, 4, 4, DType::f32, 64}, .d = {4, 4, 4, DType::f32, 64}};
    const MatmulDescription words(product, false);
    cublasLtMatmulHeuristicResult_t best{};
    int found = 0;
    EXPECT_EQ(
        words_of(cublasLtMatmulAlgoGetHeuristic(nullptr, words.operation(), words.a(), words.b(), words.d(),
                                                words.d(), words.preference(), 1, &best, &found)),
        "CUBLAS_STATUS_NOT_INITIALIZED (the library was not initialized)");
    try {
        MatmulPlans plans(false);
        FAIL() << "it started";
    } catch (const DeviceError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("cuBLASLt failed while starting on this GPU: CUBLAS_STATUS_NOT_"));
    }
}

/// Rules answer first: what they refuse needs no library.
TEST(DevicelessCublaslt, TheProviderRefusesByRulesWithoutAGpu) {
    const layers::ModelGraph graph = trireme::test::lowered("lenet", DType::bf16);
    KernelRequest request;
    request.graph = &graph;
    request.batch = 2;
    const CublasltProvider provider;
    EXPECT_THAT(provider.offer(request).refusal, HasSubstr("linear layers and feed-forwards"));
}

}  // namespace
}  // namespace trireme::cublaslt
