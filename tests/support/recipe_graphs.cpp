#include "tests/support/recipe_graphs.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>

#include "jobs/models/model_spec.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"
#include "runtime/kernels/rules/cudnn_rules.hpp"

namespace trireme::test {
namespace {

/// A launch's samples, and whether it is of a canonical job.
struct Launch {
    std::int64_t samples = 0;
    bool training = true;
    bool deterministic = false;
    auto operator<=>(const Launch&) const = default;
};

std::vector<Launch> launches_of(const jobs::JobSpec& recipe) {
    constexpr std::int64_t shards = 8;
    const auto share = [](std::int64_t whole, std::int64_t parts) { return (whole + parts - 1) / parts; };
    const std::int64_t batch = recipe.data.batch;
    std::vector<Launch> launches{
        {share(batch, recipe.parallel.microbatches), true, false},
        {share(batch, shards), true, true},
        {recipe.data.eval_batch, false, false},
    };
    std::sort(launches.begin(), launches.end());
    launches.erase(std::unique(launches.begin(), launches.end()), launches.end());
    return launches;
}

layers::ModelGraph lowered(const jobs::JobSpec& recipe, DType dtype) {
    layers::ModelGraph graph = layers::fuse(jobs::build_model(recipe.model)).graph;
    if (dtype != DType::f32) graph = layers::store_as(graph, dtype).graph;
    const LaunchLimits limits{std::max(recipe.data.batch, recipe.data.eval_batch), recipe.job.workspace_cap};
    return layers::fuse_conv_norms(graph, cudnn::joins_norms(limits)).graph;
}

bool has_batch_norm(const layers::ModelGraph& graph) { return !graph.buffers().empty(); }

bool is_asked(const layers::Op& op) {
    return std::holds_alternative<layers::Conv2d>(op) || std::holds_alternative<layers::ConvNormChain>(op) ||
           std::holds_alternative<layers::CausalSelfAttention>(op);
}

/// False where no parameter lies in front of the node: the samples have no gradient.
bool wants_gradient(const layers::ModelGraph& graph, const layers::Node& node) {
    return node.inputs.front() != graph.input();
}

}  // namespace

std::vector<Precision> precisions() {
    return {{"fp32", DType::f32, false},
            {"tf32", DType::f32, true},
            {"bf16", DType::bf16, false},
            {"fp16", DType::f16, false}};
}

std::vector<jobs::JobSpec> recipes(const std::string& folder) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".cfg") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    std::vector<jobs::JobSpec> all;
    for (const auto& file : files) all.push_back(jobs::load_job(file, {}));
    return all;
}

RecipeGraphs graphs_of_recipes(const std::vector<jobs::JobSpec>& recipes, const Precision& precision,
                               int sm) {
    RecipeGraphs all;
    for (const jobs::JobSpec& recipe : recipes) {
        const layers::ModelGraph graph = lowered(recipe, precision.dtype);
        for (const Launch& launch : launches_of(recipe)) {
            const DeviceModel device{.sm = sm, .deterministic = launch.deterministic, .tf32 = precision.tf32};
            for (std::size_t n = 0; n < graph.nodes().size(); ++n) {
                const layers::Node& node = graph.nodes()[n];
                if (!is_asked(node.op)) continue;
                KernelRequest request;
                request.graph = &graph;
                request.node = static_cast<layers::NodeId>(n);
                request.batch = launch.samples;
                request.training = launch.training;
                request.input_gradient = launch.training && wants_gradient(graph, node);
                request.workspace_cap = recipe.job.workspace_cap;
                const RuleOffer offer = CudnnRules().offer(request, device);
                if (!offer.rules) {
                    all.refused.emplace(fmt::format("{} {}", recipe.job.name, node.name), offer.refusal);
                    continue;
                }
                for (const cudnn::GraphSpec& spec : cudnn::graphs_of(request, device)) {
                    all.graphs.emplace(spec.str(), spec);
                    const bool whole = launch.samples == recipe.data.batch && launch.training;
                    if (whole && !spec.is_attention() && has_batch_norm(graph))
                        all.normalized.emplace(cudnn::GraphSpec{.conv = spec.conv}.str(), spec.conv);
                }
            }
        }
    }
    return all;
}

}  // namespace trireme::test
