// cuDNN on a GPU: a plan for every graph of every recipe, in each precision, and the measurement of plans.
// What a host without a GPU proves of it is in tests/deviceless.
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runtime/kernels/cudnn/graph_plans.hpp"
#include "runtime/kernels/cudnn/plan_tuner.hpp"
#include "tests/gpu/gpu_fixture.hpp"
#include "tests/support/recipe_graphs.hpp"

namespace trireme::cudnn {
namespace {

class GpuCudnn : public ::testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
        device_ = std::make_unique<CudaDevice>(0);
    }
    [[nodiscard]] int sm() const { return device_->sm(); }

  private:
    std::unique_ptr<CudaDevice> device_;
};

TEST_F(GpuCudnn, EveryGraphOfEveryRecipeHasAPlan) {
    // A program of a bundle runs in the root of another checkout.
    const bool built_here = std::filesystem::exists(TRIREME_RECIPES);
    const auto recipes = test::recipes(built_here ? TRIREME_RECIPES : "jobs/recipes");
    int asked = 0;
    for (const auto& precision : test::precisions()) {
        GraphPlans plans(sm(), nullptr);
        for (const auto& [text, spec] : test::graphs_of_recipes(recipes, precision, sm()).graphs) {
            ++asked;
            EXPECT_NE(plans.plan(spec), nullptr) << text << ": " << plans.refusal();
        }
    }
    EXPECT_GT(asked, 0) << "no recipes found";
    fmt::print("cuDNN on sm_{}: {} graphs asked\n", sm(), asked);
}

/// What was measured is found again, and is what a job then runs.
TEST_F(GpuCudnn, PlansAreMeasuredOnceAndTaken) {
    const std::vector<GraphSpec> graphs{{.dtype = DType::bf16,
                                         .conv = {8, {14, 14}, {14, 14}, 64, 64, {3, 3}, {1, 1}, {1, 1}},
                                         .workspace = std::int64_t{16} << 20},
                                        {.kind = GraphKind::attention_forward,
                                         .dtype = DType::bf16,
                                         .attention = {2, 4, 128, 64},
                                         .keeps = true,
                                         .workspace = std::int64_t{1} << 20}};
    const auto cache = std::make_shared<PlanCache>(plan_environment());
    EXPECT_EQ(tune(graphs, sm(), *cache).measured, 2);
    EXPECT_EQ(tune(graphs, sm(), *cache).known, 2);
    GraphPlans plans(sm(), cache);
    for (const GraphSpec& spec : graphs) {
        const auto choice = cache->find(spec.str());
        ASSERT_TRUE(choice) << spec.str();
        EXPECT_GT(choice->microseconds, 0);
        EXPECT_EQ(plans.plan(spec)->name(), choice->plan);
    }
}

}  // namespace
}  // namespace trireme::cudnn
