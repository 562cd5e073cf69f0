// cuDNN where no GPU is: it plans for GPUs that are described to it. Every graph that the recipes ask of it,
// in each precision, for sm_90 and sm_80, is planned and its first plan built; what comes of it is compared
// with golden/*.txt, to the letter where cuDNN has the version of those files. On a change that is meant,
// run the program with TRIREME_WRITE_GOLDEN=1.
//
// LD_LIBRARY_PATH must lead to the libcuda.so.1 of make_libcuda_stub.py: cuDNN opens it for graphs whose
// kernels it compiles.
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include <cudnn.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"
#include "runtime/device/cuda_choice.hpp"
#include "runtime/kernels/cudnn/planned_graph.hpp"
#include "runtime/kernels/rules/cudnn_plans.hpp"
#include "tests/support/recipe_graphs.hpp"

namespace trireme::cudnn {
namespace {

using ::testing::HasSubstr;
using trireme::test::Precision;
using trireme::test::RecipeGraphs;

struct Count {
    int accepted = 0;
    int refused = 0;
};
Count& count() {
    static Count counted;
    return counted;
}

class WholeProgram final : public ::testing::Environment {
  public:
    void SetUp() override { cuda::require_libraries(); }  // as a job does
    void TearDown() override {
        fmt::print("deviceless: {} graphs, {} accepted, {} refused\n", count().accepted + count().refused,
                   count().accepted, count().refused);
    }
};
/// GoogleTest owns it.
[[maybe_unused]] const ::testing::Environment* const whole_program =
    ::testing::AddGlobalTestEnvironment(new WholeProgram);

std::string text_of_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

Target described(int sm) {
    const std::string path = fmt::format("{}/device_properties/sm_{}.json", TRIREME_DEVICELESS, sm);
    return Target::described(text_of_file(path), sm);
}

std::int64_t version() { return static_cast<std::int64_t>(cudnnGetVersion()); }

/// The graph that the rules ask of this version: a residual that it does not add inside is not in it.
GraphSpec as_asked(GraphSpec spec) {
    if (spec.residual && !adds_residual_inside(spec.dtype, spec.tf32, version()))
        spec.residual = spec.relu = false;
    return spec;
}

/// What cuDNN makes of a graph, in one line. An accepted one has been built, within its workspace.
std::string outcome(const GraphSpec& spec, const Target& target) {
    std::string why;
    const auto graph = PlannedGraph::make(as_asked(spec), target, why);
    if (graph == nullptr || !graph->take_first(why)) {
        ++count().refused;
        return fmt::format("{}: refused: {}", spec.str(), why);
    }
    ++count().accepted;
    EXPECT_LE(graph->workspace(), spec.workspace) << spec.str();
    return fmt::format("{}: {} of {} plans", spec.str(), graph->candidates().size(), graph->offered());
}

/// A golden line without what another version of cuDNN may have otherwise.
std::string verdict(const std::string& line) {
    const std::size_t end = line.find(": ");
    if (end == std::string::npos) return line;
    const bool refused = line.compare(end, 9, ": refused") == 0;
    return line.substr(0, end) + (refused ? ": refused" : ": accepted");
}

void compare(const std::string& name, const std::vector<std::string>& lines) {
    const std::string path = fmt::format("{}/golden/{}.txt", TRIREME_DEVICELESS, name);
    const std::string here = "cuDNN " + cuda::cudnn_version_text(version());
    std::string text = here + '\n';
    for (const std::string& line : lines) text += line + '\n';
    if (std::getenv("TRIREME_WRITE_GOLDEN") != nullptr) {
        std::ofstream(path, std::ios::binary) << text;
        return;
    }
    std::vector<std::string> want = split(text_of_file(path), '\n');
    std::vector<std::string> got = split(text, '\n');
    if (want.front() != here) {
        fmt::print("{} is of {}, this is {}: verdicts alone are compared\n", path, want.front(), here);
        for (std::vector<std::string>* side : {&want, &got}) {
            side->erase(side->begin());
            std::transform(side->begin(), side->end(), side->begin(), verdict);
        }
    }
    ASSERT_EQ(got.size(), want.size()) << path;
    for (std::size_t i = 0; i < want.size(); ++i) EXPECT_EQ(got[i], want[i]) << path << " line " << i + 1;
}

class Graphs : public ::testing::TestWithParam<std::tuple<int, Precision>> {
  protected:
    [[nodiscard]] static int sm() { return std::get<0>(GetParam()); }
    [[nodiscard]] static const Precision& precision() { return std::get<1>(GetParam()); }
    [[nodiscard]] static RecipeGraphs of_recipes() {
        return trireme::test::graphs_of_recipes(trireme::test::recipes(TRIREME_RECIPES), precision(), sm());
    }
};

/// None that the rules ask for is refused: what cuDNN does not take, the rules do not ask.
TEST_P(Graphs, OfEveryRecipeAreAccepted) {
    const RecipeGraphs all = of_recipes();
    const Target target = described(sm());
    std::vector<std::string> lines;
    const int refused = count().refused;
    for (const auto& [text, spec] : all.graphs) lines.push_back(outcome(spec, target));
    EXPECT_EQ(count().refused, refused);
    for (const auto& [node, why] : all.refused) lines.push_back(fmt::format("{}: not asked: {}", node, why));
    compare(fmt::format("recipes_sm_{}_{}", sm(), precision().name), lines);
}

INSTANTIATE_TEST_SUITE_P(Deviceless, Graphs,
                         ::testing::Combine(::testing::Values(90, 80),
                                            ::testing::ValuesIn(trireme::test::precisions())),
                         [](const auto& param) {
                             return fmt::format("sm_{}_{}", std::get<0>(param.param),
                                                std::get<1>(param.param).name);
                         });

class Devices : public ::testing::TestWithParam<int> {};

/// What comes of graphs that are asked for one by one.
class Asked {
  public:
    explicit Asked(int sm) : target_(described(sm)) {}
    void add(const Precision& precision, GraphSpec spec) {
        spec.dtype = precision.dtype;
        spec.tf32 = precision.tf32;
        spec.workspace = std::int64_t{64} << 20;
        lines_.push_back(outcome(spec, target_));
    }
    [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

  private:
    Target target_;
    std::vector<std::string> lines_;
};

/// Batch norm joined to the convolutions around it. What cuDNN has of it is fp16's alone, so other types are
/// asked about one convolution.
TEST_P(Devices, OfBatchNormFusions) {
    const Target target = described(GetParam());
    const auto recipes = trireme::test::recipes(TRIREME_RECIPES);
    std::vector<std::string> lines;
    for (const Precision& precision : trireme::test::precisions()) {
        for (const auto& [text, geometry] :
             trireme::test::graphs_of_recipes(recipes, precision, GetParam()).normalized) {
            for (const GraphKind kind :
                 {GraphKind::conv_statistics, GraphKind::normalized_conv_statistics,
                  GraphKind::normalized_weight_gradient, GraphKind::input_gradient_norm_sums}) {
                lines.push_back(outcome({.kind = kind,
                                         .dtype = precision.dtype,
                                         .conv = geometry,
                                         .tf32 = precision.tf32,
                                         .workspace = std::int64_t{256} << 20},
                                        target));
            }
            if (precision.dtype != DType::f16) break;
        }
    }
    compare(fmt::format("fusions_sm_{}", GetParam()), lines);
}

/// Convolutions of all forms: channels that fill no vector, groups, depth, dilation, bias, residual, relu.
TEST_P(Devices, ConvolutionsThatNoRecipeHas) {
    const ConvGeometry plain{4, {14, 15}, {14, 15}, 64, 32, {3, 3}, {1, 1}, {1, 1}};
    const ConvGeometry ragged{3, {11, 6}, {11, 3}, 3, 7, {3, 5}, {1, 2}, {1, 2}};
    ConvGeometry grouped = plain;
    grouped.groups = 4;
    ConvGeometry depthwise = plain;
    depthwise.out_channels = depthwise.groups = 64;
    ConvGeometry dilated = plain;
    dilated.dilation = dilated.padding = {2, 2};
    Asked asked(GetParam());
    for (const Precision& precision : trireme::test::precisions()) {
        for (const ConvGeometry& g : {plain, ragged, grouped, depthwise, dilated}) {
            asked.add(precision, {.conv = g, .bias = true, .relu = true});
            asked.add(precision, {.kind = GraphKind::conv_input_gradient, .conv = g});
            asked.add(precision, {.kind = GraphKind::conv_weight_gradient, .conv = g});
        }
        asked.add(precision, {.conv = ragged, .bias = true, .residual = true, .relu = true});
    }
    for (const bool bias : {false, true}) {
        asked.add(trireme::test::precisions()[2], {.conv = plain, .bias = bias, .residual = true});
        asked.add(trireme::test::precisions()[2], {.conv = plain, .residual = bias, .relu = true});
    }
    compare(fmt::format("convolutions_sm_{}", GetParam()), asked.lines());
}

/// Heads on the edges of what the rules take, and beyond them.
TEST_P(Devices, AttentionThatNoRecipeHas) {
    Asked asked(GetParam());
    const Precision fp32 = trireme::test::precisions()[0];
    const Precision bf16 = trireme::test::precisions()[2];
    for (const AttentionGeometry& g :
         {AttentionGeometry{1, 2, 2, 8}, AttentionGeometry{1, 2, 65, 128}, AttentionGeometry{1, 2, 64, 256},
          AttentionGeometry{1, 2, 64, 12}, AttentionGeometry{1, 2, 1, 64}}) {
        asked.add(bf16, {.kind = GraphKind::attention_forward, .attention = g, .keeps = true});
        asked.add(bf16, {.kind = GraphKind::attention_backward, .attention = g});
        asked.add(bf16, {.kind = GraphKind::attention_backward, .attention = g, .deterministic = true});
    }
    const AttentionGeometry usual{2, 4, 100, 64};
    asked.add(fp32, {.kind = GraphKind::attention_forward, .attention = usual, .keeps = true});
    asked.add(fp32, {.kind = GraphKind::attention_backward, .attention = usual});
    compare(fmt::format("attention_sm_{}", GetParam()), asked.lines());
}

INSTANTIATE_TEST_SUITE_P(Deviceless, Devices, ::testing::Values(90, 80),
                         [](const auto& param) { return fmt::format("sm_{}", param.param); });

TEST(DevicelessCudnn, ADescriptionThatIsNoneIsToldInCudnnsWords) {
    try {
        (void)Target::described("{\"deviceVer\": 900}", 90);
        FAIL() << "cuDNN took it";
    } catch (const DeviceError& e) {
        EXPECT_THAT(e.what(), HasSubstr("cuDNN does not take the description of a GPU"));
    }
}

/// A plan is found again by its name, as the cache of tuned plans does, and one that is not there is told.
TEST(DevicelessCudnn, PlansAreTakenByName) {
    std::string why;
    const GraphSpec spec{.dtype = DType::bf16,
                         .conv = {8, {14, 14}, {14, 14}, 64, 64, {3, 3}, {1, 1}, {1, 1}},
                         .workspace = std::int64_t{16} << 20};
    const auto graph = PlannedGraph::make(spec, described(90), why);
    ASSERT_NE(graph, nullptr) << why;
    ASSERT_GT(graph->candidates().size(), 3U);
    const std::string third = graph->candidates()[2];
    EXPECT_TRUE(graph->take(third, why)) << why;
    EXPECT_EQ(graph->name(), third);
    EXPECT_FALSE(graph->take("eng999", why));
    EXPECT_EQ(why, "cuDNN has no plan eng999 here");
    EXPECT_EQ(graph->name(), third);
}

}  // namespace
}  // namespace trireme::cudnn
