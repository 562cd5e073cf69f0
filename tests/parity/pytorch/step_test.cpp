// One step in training of three networks: the fp64 reference against PyTorch in float64. Loss, logits, every
// parameter's gradient, the input's gradient and the running statistics must agree within 1e-9 of the
// largest magnitude of their tensor.
#include <gtest/gtest.h>

#include "layers/reference/reference.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "tests/parity/pytorch/comparison.hpp"
#include "tests/parity/pytorch/golden.hpp"

namespace trireme::parity {
namespace {

void expect_step(const layers::ModelGraph& graph, const nlohmann::json& want) {
    layers::reference::Model model(graph);
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const std::vector<double> start = golden_weights(graph.params()[p]);
        std::copy(start.begin(), start.end(), model.param(static_cast<layers::ParamId>(p)).begin());
    }
    const GoldenBatch batch = golden_batch(want);
    model.forward(static_cast<std::int64_t>(batch.classes.size()), batch.x, batch.classes);
    model.backward();
    model.update_buffers();

    Comparison comparison;
    const auto loss = want.at("loss").get<double>();
    comparison.near("loss", model.loss_sum(), loss, loss);
    comparison.tensor("logits", model.value(graph.logits()), want.at("logits"));
    comparison.tensor("gradient of the input", model.input_gradient(), want.at("input_gradient"));
    const nlohmann::json& gradients = want.at("gradients");
    ASSERT_EQ(gradients.size(), graph.params().size());
    for (std::size_t p = 0; p < graph.params().size(); ++p) {
        const std::string& name = graph.params()[p].name;
        comparison.tensor("gradient of " + name, model.param_gradient(static_cast<layers::ParamId>(p)),
                          gradients.at(name));
    }
    const nlohmann::json& buffers = want.at("buffers");
    ASSERT_EQ(buffers.size(), graph.buffers().size());
    for (std::size_t b = 0; b < graph.buffers().size(); ++b) {
        const std::string& name = graph.buffers()[b].name;
        comparison.tensor(name, model.buffer(static_cast<layers::BufferId>(b)), buffers.at(name));
    }
    testing::Test::RecordProperty("largest_deviation", std::to_string(comparison.largest() * 1e12) + "e-12");
}

const nlohmann::json& golden_step(const std::string& model) {
    for (const nlohmann::json& step : golden().at("steps"))
        if (step.at("model") == model) return step;
    throw std::runtime_error("golden.json has no step of " + model);
}

class PyTorchStep : public testing::TestWithParam<std::string> {};

TEST_P(PyTorchStep, SeparateNodes) {
    const nlohmann::json& want = golden_step(GetParam());
    expect_step(golden_graph(want), want);
}

TEST_P(PyTorchStep, FusedNodes) {
    const nlohmann::json& want = golden_step(GetParam());
    const layers::Rewritten fused = layers::fuse(golden_graph(want));
    ASSERT_FALSE(fused.lines.empty()) << "the same graph again would show nothing";
    expect_step(fused.graph, want);
}

INSTANTIATE_TEST_SUITE_P(Models, PyTorchStep, testing::Values("lenet", "resnet18-cifar", "resnet50"),
                         [](const auto& param) {
                             std::string name = param.param;
                             std::erase(name, '-');
                             return name;
                         });

}  // namespace
}  // namespace trireme::parity
