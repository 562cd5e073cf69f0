// cuBLASLt on a GPU: an algorithm for every product of every preset, in each precision, with and without a
// fixed order of sums. What it has no algorithm for with its epilogue is told; the bare product must have
// one.
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/kernels/cublaslt/matmul_plans.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/recipe_products.hpp"

namespace trireme::cublaslt {
namespace {

TEST(GpuCublaslt, EveryProductOfEveryPresetHasAnAlgorithm) {
    if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
    const CudaDevice device(0);
    int asked = 0;
    std::set<std::string> apart;
    for (const bool deterministic : {false, true}) {
        MatmulPlans plans(deterministic);
        for (const auto& precision : test::product_precisions) {
            const DeviceModel model{
                .sm = device.sm(), .deterministic = deterministic, .tf32 = precision.tf32};
            for (const auto& [text, product] :
                 test::products_of_recipes(precision.dtype, model, 32).products) {
                ++asked;
                if (plans.plan(product) != nullptr) continue;
                ColumnProduct bare = product;
                bare.epilogue = Epilogue::none;
                bare.vector_alignment = bare.aux_alignment = bare.aux_leading = 0;
                EXPECT_NE(plans.plan(bare), nullptr) << plans.refusal();
                apart.insert(fmt::format("{} {}", precision.name, name_of(product.epilogue)));
            }
        }
    }
    fmt::print("cuBLASLt {} on sm_{}: {} products asked\n", cublasLtGetVersion(), device.sm(), asked);
    for (const std::string& what : apart) fmt::print("  epilogue apart: {}\n", what);
}

}  // namespace
}  // namespace trireme::cublaslt
