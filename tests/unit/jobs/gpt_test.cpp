// The gpt presets: sizes, names and initial weights of GPT-2, what jobs may say of them, and drawing tokens.
#include "jobs/models/gpt.hpp"

#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/generation.hpp"
#include "jobs/planned_job.hpp"
#include "jobs/spec/job_spec.hpp"
#include "layers/init.hpp"
#include "runtime/core/error.hpp"
#include "tests/unit/jobs/model_specs.hpp"

namespace trireme::jobs {
namespace {

using test::model_mistakes;
using test::preset;
using testing::HasSubstr;

const layers::ParamSpec& param(const layers::ModelGraph& graph, const std::string& name) {
    for (const layers::ParamSpec& spec : graph.params()) {
        if (spec.name == name) return spec;
    }
    throw std::runtime_error("no parameter " + name);
}

TEST(Gpt, HasAsManyParametersAsThePublishedOne) {
    const layers::ModelGraph graph = build_model(preset("gpt2-124m"));
    EXPECT_EQ(graph.parameter_count().value, 124'439'808);
    EXPECT_EQ(graph.params().size(), 2U + 12 * 12 + 2);
    EXPECT_EQ(param(graph, "h.11.mlp.c_fc.weight").shape, (Shape{3072, 768}));
    EXPECT_EQ(graph.tensor(graph.logits()).shape, (Shape{1024, 50257}));
    EXPECT_EQ(build_model(preset("gpt-char")).parameter_count().value, 10'844'160);
}

TEST(Gpt, TheHeadIsTheTableOfTokens) {
    const layers::ModelGraph graph = build_model(preset("gpt-char"));
    const layers::Node& head = graph.nodes()[graph.nodes().size() - 2];
    EXPECT_EQ(head.name, "head");
    EXPECT_EQ(head.params, graph.nodes().front().params);
    EXPECT_EQ(graph.tensor(graph.input()).dtype, DType::i32);
    EXPECT_EQ(graph.tensor(graph.target()).shape, Shape{256});
}

TEST(Gpt, InitialWeightsAreThoseOfGpt2) {
    const layers::ModelGraph graph = build_model(preset("gpt-char"));
    const auto deviation = [&](const std::string& name) {
        const layers::ParamSpec& spec = param(graph, name);
        std::vector<float> values(static_cast<std::size_t>(spec.shape.elements().value));
        layers::initial_values(spec, 1, 0, values);
        double squares = 0;
        for (const float v : values) squares += static_cast<double>(v) * static_cast<double>(v);
        return std::sqrt(squares / static_cast<double>(values.size()));
    };
    EXPECT_NEAR(deviation("wte.weight"), 0.02, 2e-4);
    EXPECT_NEAR(deviation("h.0.attn.c_attn.weight"), 0.02, 2e-4);
    EXPECT_NEAR(deviation("h.3.attn.c_proj.weight"), 0.02 / std::sqrt(12), 1e-4);
    EXPECT_NEAR(deviation("h.5.mlp.c_proj.weight"), 0.02 / std::sqrt(12), 1e-4);
    EXPECT_EQ(deviation("h.0.mlp.c_fc.bias"), 0);
    EXPECT_EQ(deviation("ln_f.weight"), 1);
}

TEST(Gpt, KeysChangeSizes) {
    ModelSpec spec = preset("gpt-char");
    spec.gpt = {.context = 8, .layers = 2, .heads = 2, .width = 16, .vocabulary = 32, .dropout = 0.1};
    const layers::ModelGraph graph = build_model(spec);
    EXPECT_EQ(graph.tensor(graph.logits()).shape, (Shape{8, 32}));
    EXPECT_EQ(token_context(spec), 8);
    EXPECT_THAT(graph.str(), HasSubstr("dropout(p=0.1)"));
    EXPECT_EQ(token_context(preset("lenet")), std::nullopt);
}

TEST(Gpt, MistakesAreTold) {
    ModelSpec spec = preset("gpt-char");
    spec.gpt.heads = 7;
    spec.classes = 10;
    spec.loss = LossKind::mse;
    spec.data = ModelData{"datasets/d", Shape{28, 28, 1}, "class", Shape{}, 10};
    EXPECT_THAT(
        model_mistakes(spec),
        testing::AllOf(HasSubstr("model.width = 384 is not a multiple of model.heads = 7"),
                       HasSubstr("say how many there are with model.vocabulary"),
                       HasSubstr("model.loss = mse"), HasSubstr("gpt-char takes tokens, but datasets/d")));
    ModelSpec small = preset("gpt-char");
    small.data = ModelData{"datasets/t", Shape{256}, "next-token", Shape{256}, 400};
    EXPECT_EQ(build_model(small).params().front().shape, (Shape{400, 384}));
    small.gpt.vocabulary = 300;
    EXPECT_THAT(model_mistakes(small),
                HasSubstr("model.vocabulary = 300 but datasets/t has 400 different tokens"));
    ModelSpec image = preset("lenet");
    image.data = small.data;
    EXPECT_THAT(model_mistakes(image),
                HasSubstr("are tokens, which the presets gpt-char and gpt2-124m take"));
}

TEST(Gpt, KeysAreForThisFamilyOnly) {
    const auto file = std::filesystem::path(testing::TempDir()) / "gpt_keys.cfg";
    std::ofstream(file) << "[model]\nname = lenet\ncontext = 5\n";
    try {
        (void)load_job(file, {});
        FAIL() << "a context for lenet";
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(),
                    HasSubstr("model.context = 5: is for the presets gpt-char and gpt2-124m only"));
    }
    std::filesystem::remove(file);
}

/// Every node of the recipes has a kernel of the first provider.
TEST(Gpt, RecipesNeedNoReferenceKernels) {
    for (const char* recipe : {"gpt-char", "gpt2-124m"}) {
        JobSpec spec = load_job(std::filesystem::path(TRIREME_RECIPES) / (std::string(recipe) + ".cfg"), {});
        spec.data.batch = 1;
        spec.data.eval_batch = 1;
        spec.parallel.microbatches = 1;
        const PlannedJob job(spec, 1, 1, DataUse::if_there);
        EXPECT_THAT(job.plan_text(), testing::Not(HasSubstr("reference"))) << recipe;
    }
}

TEST(Generation, DrawsAreFunctionsOfTheSeed) {
    GenerationSetup setup;
    setup.temperature = 0;
    const std::vector<float> scores{0.5F, 2.0F, -1.0F, 2.0F};
    EXPECT_EQ(draw_token(scores, setup, 0), 1) << "of equal scores the lower token";
    setup.temperature = 1;
    std::array<int, 4> counts{};
    for (std::int64_t i = 0; i < 20'000; ++i) {
        const std::int32_t token = draw_token(scores, setup, i);
        EXPECT_EQ(token, draw_token(scores, setup, i));
        ++counts.at(static_cast<std::size_t>(token));
    }
    double sum = 0;
    for (const float s : scores) sum += std::exp(static_cast<double>(s));
    for (std::size_t t = 0; t < 4; ++t)
        EXPECT_NEAR(counts.at(t) / 20'000.0, std::exp(static_cast<double>(scores[t])) / sum, 0.015) << t;
    setup.temperature = 0.05;
    for (std::int64_t i = 0; i < 100; ++i)
        EXPECT_EQ(scores[static_cast<std::size_t>(draw_token(scores, setup, i))], 2);
    EXPECT_THROW((void)draw_token(std::vector<float>{1, NAN}, setup, 0), NumericError);
}

}  // namespace
}  // namespace trireme::jobs
