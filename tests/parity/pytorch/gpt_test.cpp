// One step in training of a small GPT, the preset with its sizes made small: the fp64 reference against
// PyTorch in float64. Loss, logits and every parameter's gradient, the tied table's too, must agree within
// 1e-9 of the largest magnitude of their tensor. make_golden_gpt.py beside this file makes the values.
#include <fstream>

#include "jobs/models/model_spec.hpp"
#include "layers/reference/reference.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/philox.hpp"
#include "tests/parity/pytorch/comparison.hpp"

namespace trireme::parity {
namespace {

nlohmann::json golden_gpt() {
    std::ifstream file(TRIREME_PYTORCH_GOLDEN_GPT);
    EXPECT_TRUE(file) << TRIREME_PYTORCH_GOLDEN_GPT << " is missing";
    return nlohmann::json::parse(file);
}

layers::ModelGraph graph_of(const nlohmann::json& golden) {
    jobs::ModelSpec spec;
    spec.name = "gpt-char";
    spec.gpt.context = golden.at("context").get<std::int64_t>();
    spec.gpt.layers = golden.at("layers").get<std::int64_t>();
    spec.gpt.heads = golden.at("heads").get<std::int64_t>();
    spec.gpt.width = golden.at("width").get<std::int64_t>();
    spec.gpt.vocabulary = golden.at("vocabulary").get<std::int64_t>();
    return jobs::build_model(spec);
}

void start_weights(const layers::ModelGraph& graph, std::uint64_t seed, layers::reference::Model& model) {
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const std::string& name = graph.params()[p].name;
        const RandomStream stream(seed, "parity/" + name);
        const bool norm = name.find("ln_") != std::string::npos && name.ends_with("weight");
        const std::span<double> values = model.param(static_cast<layers::ParamId>(p));
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = 0.2 * (2.0 * stream.uniform(i) - 1.0) + (norm ? 1 : 0);
    }
}

std::vector<double> tokens_of(const nlohmann::json& golden, const char* purpose) {
    const RandomStream stream(golden.at("seed").get<std::uint64_t>(), purpose);
    const auto count = golden.at("batch").get<std::size_t>() * golden.at("context").get<std::size_t>();
    std::vector<double> tokens;
    for (std::size_t i = 0; i < count; ++i)
        tokens.push_back(static_cast<double>(stream.below(i, golden.at("vocabulary").get<std::uint64_t>())));
    return tokens;
}

void expect_step(const layers::ModelGraph& graph) {
    const nlohmann::json golden = golden_gpt();
    layers::reference::Model model(graph);
    start_weights(graph, golden.at("seed").get<std::uint64_t>(), model);
    model.forward(golden.at("batch").get<std::int64_t>(), tokens_of(golden, "parity/tokens"),
                  tokens_of(golden, "parity/next"));
    model.backward();

    Comparison comparison;
    const auto loss = golden.at("loss").get<double>();
    comparison.near("loss", model.loss_sum(), loss, loss);
    comparison.tensor("logits", model.value(graph.logits()), golden.at("logits"));
    const nlohmann::json& gradients = golden.at("gradients");
    ASSERT_EQ(gradients.size(), graph.params().size());
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const std::string& name = graph.params()[p].name;
        comparison.tensor("gradient of " + name, model.param_gradient(static_cast<layers::ParamId>(p)),
                          gradients.at(name));
    }
    testing::Test::RecordProperty("largest_deviation", std::to_string(comparison.largest() * 1e12) + "e-12");
}

TEST(PyTorchGpt, SeparateNodes) { expect_step(graph_of(golden_gpt())); }

TEST(PyTorchGpt, FusedNodes) {
    const layers::Rewritten fused = layers::fuse_bias_activation(graph_of(golden_gpt()));
    ASSERT_FALSE(fused.lines.empty());
    expect_step(fused.graph);
}

}  // namespace
}  // namespace trireme::parity
