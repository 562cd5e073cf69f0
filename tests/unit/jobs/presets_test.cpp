// Presets are the published networks: the same parameters, in number, name and shape.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/models/gpt.hpp"
#include "jobs/models/model_spec.hpp"
#include "layers/rewrite/rewrite.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "tests/unit/jobs/model_specs.hpp"
#include "tests/unit/jobs/published_shapes.hpp"

namespace trireme::jobs {
namespace {

using test::model_mistakes;
using test::preset;
using testing::HasSubstr;

/// "name 64x3x3x3" for each parameter.
std::vector<std::string> parameters(const layers::ModelGraph& graph) {
    std::vector<std::string> lines;
    for (const layers::ParamSpec& param : graph.params())
        lines.push_back(fmt::format("{} {}", param.name, fmt::join(param.shape.dims(), "x")));
    return lines;
}

std::vector<std::string> published(std::string_view list) {
    std::vector<std::string> lines;
    for (const std::string& entry : split(list, ',')) lines.emplace_back(trim(entry));
    return lines;
}

TEST(Presets, Vgg11IsThePublishedOne) {
    const layers::ModelGraph graph = build_model(preset("vgg11"));
    EXPECT_EQ(graph.parameter_count().value, 132'863'336);
    EXPECT_EQ(parameters(graph), published(test::published_vgg11));
}

TEST(Presets, Resnet18CifarIsThePublishedOne) {
    const layers::ModelGraph graph = build_model(preset("resnet18-cifar"));
    EXPECT_EQ(graph.parameter_count().value, 11'173'962);
    EXPECT_EQ(parameters(graph), published(test::published_resnet18_cifar));
    EXPECT_EQ(graph.buffers().size(), 40U);
    EXPECT_EQ(graph.buffers().front().name, "bn1.running_mean");
}

TEST(Presets, Resnet50IsThePublishedOne) {
    const layers::ModelGraph graph = build_model(preset("resnet50"));
    EXPECT_EQ(graph.parameter_count().value, 25'557'032);
    EXPECT_EQ(parameters(graph), published(test::published_resnet50));
    EXPECT_EQ(graph.buffers().size(), 106U);
    // The stride stands in the 3x3 convolution.
    for (const layers::Node& node : graph.nodes()) {
        const auto* conv = std::get_if<layers::Conv2d>(&node.op);
        if (conv == nullptr || !node.name.starts_with("layer3.0.conv")) continue;
        EXPECT_EQ(conv->stride[0], node.name == "layer3.0.conv2" ? 2 : 1) << node.name;
    }
    // Sizes at the ends of the stages, and the work: 4.09 billion multiply-adds an image.
    for (const layers::TensorSpec& tensor : graph.tensors()) {
        if (tensor.name == "maxpool") {
            EXPECT_EQ(tensor.shape, (Shape{56, 56, 64}));
        }
        if (tensor.name == "layer4.2.relu3") {
            EXPECT_EQ(tensor.shape, (Shape{7, 7, 2048}));
        }
    }
    EXPECT_NEAR(graph.total_cost().forward_flops / 2e9, 4.1, 0.1);
}

TEST(Presets, LenetAndMlpAreWhatTheyWere) {
    EXPECT_EQ(build_model(preset("lenet")).parameter_count().value, 431'080);
    ModelSpec mlp = preset("mlp");
    mlp.hidden = {256, 128};
    EXPECT_EQ(build_model(mlp).parameter_count().value, 784 * 256 + 256 + 256 * 128 + 128 + 1290);
}

TEST(Presets, FollowTheJobAndTheDataSet) {
    ModelSpec spec = preset("resnet50");
    spec.input = Shape{64, 64, 1};
    spec.classes = 7;
    layers::ModelGraph graph = build_model(spec);
    EXPECT_EQ(graph.params().front().shape, (Shape{64, 1, 7, 7}));
    EXPECT_EQ(graph.tensor(graph.logits()).shape, Shape{7});
    spec.data = ModelData{"datasets/d", Shape{32, 32, 3}, "class", Shape{}, 9};
    EXPECT_THAT(model_mistakes(spec),
                testing::AllOf(HasSubstr("model.input = [64, 64, 1] but the samples of datasets/d "
                                         "are [32, 32, 3]"),
                               HasSubstr("model.classes = 7 but datasets/d has 9 classes")));
    spec.input.reset();
    spec.classes.reset();
    graph = build_model(spec);
    EXPECT_EQ(graph.tensor(graph.logits()).shape, Shape{9});
}

TEST(Presets, EndInTheLossThatTheTargetsAskFor) {
    for (const std::string& name : preset_names()) {
        if (is_gpt(name)) continue;  // tokens have one loss
        ModelSpec spec = preset(name);
        spec.data = ModelData{"datasets/v", Shape{64, 64, 3}, "float", Shape{4}, 4};
        const layers::ModelGraph graph = build_model(spec);
        EXPECT_EQ(layers::name_of(graph.nodes().back().op), "mean_squared_error") << name;
        EXPECT_EQ(graph.tensor(graph.target()).shape, Shape{4}) << name;
        EXPECT_EQ(graph.tensor(graph.logits()).shape, Shape{4}) << name;
        spec.loss = LossKind::cross_entropy;
        EXPECT_THAT(model_mistakes(spec), HasSubstr("use mse")) << name;
        spec.loss = LossKind::bce;
        EXPECT_THAT(model_mistakes(spec), HasSubstr("use mse")) << name;
        spec.loss.reset();
        spec.classes = 5;
        EXPECT_THAT(model_mistakes(spec),
                    HasSubstr("model.classes = 5 but the targets of datasets/v are vectors of 4"));
    }
    ModelSpec smooth = preset("lenet");
    smooth.label_smoothing = 0.1;
    EXPECT_THAT(build_model(smooth).str(), HasSubstr("label_smoothing=0.1"));
}

TEST(Presets, Vgg11PoolsLargerImagesAndTakesSmallOnesAsTheyAre) {
    ModelSpec spec = preset("vgg11");
    spec.input = Shape{448, 448, 3};
    EXPECT_EQ(build_model(spec).parameter_count().value, 132'863'336);
    spec.input = Shape{32, 32, 3};
    EXPECT_EQ(build_model(spec).params()[16].shape, (Shape{4096, 512}));
    spec.input = Shape{256, 256, 3};
    EXPECT_THAT(model_mistakes(spec),
                HasSubstr("vgg11: samples of [256, 256, 3] give features of [8, 8, 512]"));
}

TEST(Presets, SurviveTheRewriteWithTheirNames) {
    for (const std::string& name : preset_names()) {
        const layers::ModelGraph graph = build_model(preset(name));
        const layers::Rewritten rewritten = layers::fuse_bias_activation(graph);
        EXPECT_EQ(parameters(graph), parameters(rewritten.graph)) << name;
    }
}

}  // namespace
}  // namespace trireme::jobs
