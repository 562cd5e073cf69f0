// Plans for GPUs that are described, on a machine that has none.
#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/planned_job.hpp"
#include "runtime/core/error.hpp"
#include "runtime/planned_backends.hpp"

namespace trireme::jobs {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

JobSpec spec_of(const std::string& recipe, const std::string& compute) {
    const auto file = std::filesystem::path(TRIREME_RECIPES) / (recipe + ".cfg");
    return load_job(file, {{"job.device", {"cuda", "test"}}, {"precision.compute", {compute, "test"}}});
}

PlannedJob planned(const std::string& recipe, const std::string& compute, int sm, int world) {
    JobSpec spec = spec_of(recipe, compute);
    Backend backend = planned_cuda_backend(sm, spec.numerics());
    return PlannedJob(std::move(spec), world, 1, DataUse::if_there, std::move(backend));
}

/// Who should take an op: what the libraries have is theirs.
std::string provider_of(const layers::Op& op, const std::string& compute) {
    if (std::holds_alternative<layers::Conv2d>(op) || std::holds_alternative<layers::ConvNormChain>(op))
        return "cudnn";
    const bool half = compute == "bf16" || compute == "fp16";
    if (std::holds_alternative<layers::CausalSelfAttention>(op)) return half ? "cudnn" : "cuda";
    const bool product =
        std::holds_alternative<layers::Linear>(op) || std::holds_alternative<layers::FeedForward>(op);
    return product ? "cublaslt" : "cuda";
}

TEST(PlannedGpu, EveryRecipeHasAPlanInEveryPrecision) {
    for (const char* recipe : {"lenet-mnist", "resnet18-cifar", "resnet50", "gpt-char", "gpt2-124m"}) {
        for (const char* compute : {"fp32", "tf32", "bf16", "fp16"}) {
            for (const int sm : {80, 90}) {
                SCOPED_TRACE(fmt::format("{} in {} on sm_{}", recipe, compute, sm));
                const PlannedJob job = planned(recipe, compute, sm, 8);
                for (const layers::Node& node : job.graph().nodes()) {
                    if (layers::is_view(node.op)) continue;
                    const auto id = static_cast<layers::NodeId>(&node - job.graph().nodes().data());
                    EXPECT_EQ(job.selection().provider(id, 1, true), provider_of(node.op, compute))
                        << node.name;
                }
            }
        }
    }
}

TEST(PlannedGpu, ProvidersAndFusionsOfATransformer) {
    const std::string text = planned("gpt2-124m", "bf16", 90, 8).plan_text();
    EXPECT_THAT(text, HasSubstr("h.0.mlp.c_fc     cublaslt (matmul:bf16 gelu and dgelu inside"));
    EXPECT_THAT(text, HasSubstr("h.0.attn         cudnn ("));
    EXPECT_THAT(text, HasSubstr("h.0.ln_1         cuda (rows:bf16)"));
}

std::vector<std::size_t> links_of_chains(const layers::ModelGraph& graph) {
    std::vector<std::size_t> links;
    for (const layers::Node& node : graph.nodes()) {
        if (const auto* op = std::get_if<layers::ConvNormChain>(&node.op)) links.push_back(op->links.size());
    }
    return links;
}

/// In fp16 alone: every branch, and what stands beside the first of a stage; not ResNet-50's stem, whose
/// samples have three channels.
TEST(PlannedGpu, ResidualBranchesAreChainsInFp16) {
    const auto count = [](const std::vector<std::size_t>& links, std::size_t length) {
        return std::count(links.begin(), links.end(), length);
    };
    const std::vector<std::size_t> large = links_of_chains(planned("resnet50", "fp16", 90, 1).graph());
    EXPECT_EQ(count(large, 3), 16);
    EXPECT_EQ(count(large, 1), 4);
    EXPECT_EQ(large.size(), 20U);
    const std::vector<std::size_t> small = links_of_chains(planned("resnet18-cifar", "fp16", 80, 2).graph());
    EXPECT_EQ(count(small, 2), 8);
    EXPECT_EQ(count(small, 1), 3);
    EXPECT_EQ(small.size(), 11U);
    for (const char* compute : {"fp32", "tf32", "bf16"})
        EXPECT_TRUE(links_of_chains(planned("resnet50", compute, 90, 1).graph()).empty()) << compute;
    for (const char* recipe : {"lenet-mnist", "gpt-char"})
        EXPECT_TRUE(links_of_chains(planned(recipe, "fp16", 90, 1).graph()).empty()) << recipe;
}

/// What the chains leave out of memory, beside the same network without them.
TEST(PlannedGpu, ChainsSaveMemory) {
    const auto arena = [](bool chains) {
        JobSpec spec = spec_of("resnet50", "fp16");
        Backend backend = planned_cuda_backend(90, spec.numerics());
        if (!chains) backend.joins_norms = {};
        return PlannedJob(spec, 1, 1, DataUse::if_there, std::move(backend)).memory(0).arena;
    };
    const Bytes with = arena(true);
    const Bytes without = arena(false);
    EXPECT_LT(static_cast<double>(with.value), 0.85 * static_cast<double>(without.value))
        << with.value << " of " << without.value;
    const std::string text = planned("resnet50", "fp16", 90, 1).plan_text();
    EXPECT_THAT(text, HasSubstr("layer1.0.conv1   cudnn (chain:fp16 of 3)"));
    EXPECT_THAT(text, Not(HasSubstr("\n  layer1.0.bn2")));
}

/// A normalised tensor must fit the scratch of a launch, where it is made again: else a chain ends in front.
TEST(PlannedGpu, ChainsAreCutWhereTheScratchIsSmall) {
    JobSpec spec = spec_of("resnet50", "fp16");
    spec.job.workspace_cap = Bytes(std::int64_t{128} << 20);
    Backend backend = planned_cuda_backend(90, spec.numerics());
    const PlannedJob job(spec, 1, 1, DataUse::if_there, std::move(backend));
    const std::vector<std::size_t> links = links_of_chains(job.graph());
    EXPECT_GT(links.size(), 20U);
    EXPECT_EQ(std::accumulate(links.begin(), links.end(), std::size_t{0}), 52U);
    EXPECT_NO_THROW((void)job.memory(0));
}

/// What the rewrite makes a kernel takes, whatever the scratch.
TEST(PlannedGpu, NoChainIsMadeThatIsRefused) {
    for (const char* recipe : {"resnet50", "resnet18-cifar"}) {
        for (const std::int64_t mb : {32, 48, 64, 96, 128, 192, 256, 384}) {
            JobSpec spec = spec_of(recipe, "fp16");
            spec.job.workspace_cap = Bytes(mb << 20);
            Backend backend = planned_cuda_backend(90, spec.numerics());
            EXPECT_NO_THROW(PlannedJob(spec, 1, 1, DataUse::if_there, std::move(backend)))
                << recipe << ", " << mb << " MiB";
        }
    }
}

/// What the host holds beside the device is counted apart, and job.memory_limit is the device's.
TEST(PlannedGpu, MemoryIsCountedOnBothSides) {
    const MemoryReport report = planned("gpt-char", "bf16", 90, 1).memory(0);
    EXPECT_EQ(report.host_state, report.parameters + report.optimizer_state);
    EXPECT_EQ(report.host_sums, report.gradients);
    EXPECT_GT(report.batch.value, 0);
    EXPECT_EQ(report.total(),
              report.on_device() + report.host_state + report.host_sums + report.data + report.checkpoint);
    JobSpec spec = spec_of("gpt-char", "bf16");
    Backend backend = planned_cuda_backend(90, spec.numerics());
    spec.job.memory_limit = report.on_device();
    EXPECT_NO_THROW(PlannedJob(spec, 1, 1, DataUse::if_there, planned_cuda_backend(90, spec.numerics())));
    spec.job.memory_limit = report.on_device() - Bytes(1);
    EXPECT_THROW(PlannedJob(spec, 1, 1, DataUse::if_there, std::move(backend)), ConfigError);
}

TEST(PlannedGpu, OldOnesAreRefused) {
    try {
        (void)planned_cuda_backend(75, {});
        FAIL() << "sm_75 was taken";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(), HasSubstr("--sm: the GPU of the plan is sm_75"));
    }
}

/// It plans, and does not work.
TEST(PlannedGpu, ItHasNoMemory) {
    const Backend backend = planned_cuda_backend(90, {});
    EXPECT_THROW((void)backend.device->memory(), InternalError);
    EXPECT_THROW((void)backend.device->make_stream(), InternalError);
}

}  // namespace
}  // namespace trireme::jobs
