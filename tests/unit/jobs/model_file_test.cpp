// Networks described in TOML: what they become, and how their mistakes are told.
#include "jobs/models/model_file.hpp"

#include <fstream>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobs/models/toml_document.hpp"
#include "runtime/core/error.hpp"
#include "tests/support/said.hpp"

namespace trireme::jobs {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::filesystem::path repository = std::filesystem::path(__FILE__).parent_path() / "../../..";

ModelSpec images(std::int64_t classes = 10) {
    ModelSpec spec;
    spec.data = ModelData{"datasets/d", Shape{8, 8, 3}, "class", Shape{}, classes};
    return spec;
}

ModelSpec vectors(const std::string& kind, std::int64_t k) {
    ModelSpec spec;
    spec.data = ModelData{"datasets/v", Shape{5}, kind, Shape{k}, k};
    return spec;
}

layers::ModelGraph graph_of(const std::string& text, const ModelSpec& spec = images()) {
    return model_from_toml(text, "net.toml", spec);
}

std::string mistakes(const std::string& text, const ModelSpec& spec = images()) {
    try {
        (void)graph_of(text, spec);
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "none";
}

std::vector<std::string> node_names(const layers::ModelGraph& graph) {
    std::vector<std::string> names;
    for (const layers::Node& node : graph.nodes()) names.push_back(node.name);
    return names;
}

/// Lines 1 to 4 of most files here: a linear layer over the flattened image.
const std::string flat = "[[layer]]\ntype = \"flatten\"\n\n";
const std::string head = "[[layer]]\ntype = \"linear\"\nname = \"fc\"\nout_features = \"classes\"\n";

TEST(ModelFile, TheRecipeIsAResidualNetWithBranchesAndDropout) {
    const layers::ModelGraph graph = graph_of(test::text_of(repository / "jobs/recipes/residual-net.toml"));
    EXPECT_EQ(graph.name(), "residual-net");
    const std::string text = graph.str();
    EXPECT_THAT(text, HasSubstr("block.1.conv2.weight"));
    EXPECT_THAT(text, HasSubstr("label_smoothing=0.1"));
    EXPECT_EQ(graph.tensor(graph.logits()).shape, Shape{10});
    EXPECT_EQ(graph.buffers().size(), 10U);
    // stem 432, five norms 160, four 3x3 convolutions 9,216, narrow 136, wide 3,480, fc 330
    EXPECT_EQ(graph.parameter_count().value, 432 + 160 + 9216 + 136 + 3480 + 330);
    // The second block adds what the first ended with.
    for (const layers::Node& node : graph.nodes()) {
        if (node.name != "block.1.add6") continue;
        EXPECT_EQ(graph.tensor(node.inputs[0]).name, "block.1.bn2");
        EXPECT_EQ(graph.tensor(node.inputs[1]).name, "block.0.relu7");
    }
}

TEST(ModelFile, TheExampleOfTheDocumentationIsTheRecipe) {
    const std::string page = test::text_of(repository / "docs/models.md");
    const std::string fence = "```toml\n";
    const std::size_t begin = page.find(fence) + fence.size();
    const std::string example = page.substr(begin, page.find("```", begin) - begin);
    ModelSpec spec;
    EXPECT_EQ(graph_of(example, images()).str(),
              graph_of(test::text_of(repository / "jobs/recipes/residual-net.toml"), images()).str());
}

TEST(ModelFile, LayersReadThePreviousOneByDefault) {
    const layers::ModelGraph graph = graph_of(flat + head);
    EXPECT_EQ(node_names(graph), (std::vector<std::string>{"flatten1", "fc", "fc_bias", "loss"}));
    EXPECT_EQ(graph.tensor(graph.target()).dtype, DType::i32);
}

TEST(ModelFile, CommentsMayBeInAnyLanguage) {
    EXPECT_EQ(
        graph_of("\xEF\xBB\xBF# caf\xC3\xA9 \xE3\x80\x80\nname = \"n\" # \xC3\xA9\r\n" + flat + head).name(),
        "n");
}

TEST(ModelFile, RepeatBlocksNest) {
    const layers::ModelGraph graph = graph_of(
        "[[layer]]\ntype = \"flatten\"\n[[layer]]\ntype = \"repeat\"\nname = \"a\"\ncount = 2\n"
        "[[layer.layer]]\ntype = \"repeat\"\nname = \"b\"\ncount = 2\n"
        "[[layer.layer.layer]]\ntype = \"linear\"\nname = \"w\"\nout_features = 4\nbias = false\n"
        "[[layer]]\ntype = \"concat\"\ninputs = [\"a.0.b.1.w\", \"a\"]\n" +
        head);
    EXPECT_EQ(node_names(graph), (std::vector<std::string>{"flatten1", "a.0.b.0.w", "a.0.b.1.w", "a.1.b.0.w",
                                                           "a.1.b.1.w", "concat3", "fc", "fc_bias", "loss"}));
}

TEST(ModelFile, DepthwiseAndDilatedConvolutions) {
    const layers::ModelGraph graph = graph_of(
        "[[layer]]\ntype = \"conv2d\"\nname = \"c\"\nout_channels = 6\nkernel = [3, 1]\ngroups = 3\n"
        "dilation = 2\npadding = \"same\"\nstride = [1, 2]\n[[layer]]\ntype = \"global_average_pool\"\n" +
        head);
    EXPECT_EQ(graph.tensor(graph.node(0).output).shape, (Shape{8, 4, 6}));
    EXPECT_EQ(graph.params().front().shape, (Shape{6, 1, 3, 1}));
}

TEST(ModelFile, TargetsOfTheDataSetDecideTheLoss) {
    const layers::ModelGraph floats = graph_of(head, vectors("float", 3));
    EXPECT_EQ(layers::name_of(floats.nodes().back().op), "mean_squared_error");
    EXPECT_EQ(floats.tensor(floats.target()).shape, Shape{3});
    EXPECT_EQ(floats.tensor(floats.target()).dtype, DType::f32);
    EXPECT_EQ(layers::name_of(graph_of(head, vectors("multi-hot", 3)).nodes().back().op), "bce_with_logits");
    EXPECT_THAT(
        mistakes(head + "[[layer]]\ntype = \"cross-entropy\"\n", vectors("float", 3)),
        HasSubstr("datasets/v: the loss cross-entropy is not for a data set whose targets are of kind "
                  "float: use mse"));
}

TEST(ModelFile, TheJobWinsOverTheFileForTheLoss) {
    const std::string file = head + "[[layer]]\ntype = \"bce\"\nname = \"end\"\n";
    ModelSpec spec = vectors("multi-hot", 3);
    EXPECT_EQ(layers::name_of(graph_of(file, spec).nodes().back().op), "bce_with_logits");
    spec.loss = LossKind::mse;
    EXPECT_EQ(layers::name_of(graph_of(file, spec).nodes().back().op), "mean_squared_error");
    EXPECT_EQ(graph_of(file, spec).nodes().back().name, "end");
    ModelSpec smooth = images();
    smooth.label_smoothing = 0.2;
    EXPECT_THAT(
        graph_of(flat + head + "[[layer]]\ntype = \"cross-entropy\"\nlabel_smoothing = 0.1\n", smooth).str(),
        HasSubstr("label_smoothing=0.2"));
    spec.label_smoothing = 0.1;
    EXPECT_THAT(mistakes(file, spec), HasSubstr("model.label_smoothing = 0.1 is for cross-entropy"));
}

TEST(ModelFile, TheFileTellsItsEndsWhereNoDataSetDoes) {
    const std::string file = "input = [8, 8, 3]\nclasses = 4\n" + flat + head;
    EXPECT_EQ(graph_of(file, ModelSpec{}).tensor(3).shape, Shape{4});
    EXPECT_EQ(graph_of(file, images(3)).tensor(3).shape, Shape{4});
    EXPECT_THAT(mistakes(file, images(5)),
                HasSubstr("classes = 4 in the model file but datasets/d has 5 classes"));
    EXPECT_THAT(mistakes("input = [8, 8, 1]\n" + flat + head),
                HasSubstr("net.toml:1: input = [8, 8, 1]: but the samples of datasets/d are [8, 8, 3]"));
    const std::string none = mistakes(flat + head, ModelSpec{});
    EXPECT_THAT(none,
                AllOf(HasSubstr("the shape of a sample is not known"),
                      HasSubstr("net.toml:7: layer fc: out_features = classes: the number of classes is "
                                "not known")));
}

struct Wrong {
    std::string name;
    std::string text;
    std::vector<std::string> told;  ///< each must be in the message
};

void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongModelFile : public testing::TestWithParam<Wrong> {};

TEST_P(WrongModelFile, IsToldWithLineAndRule) {
    const std::string text = mistakes(GetParam().text);
    for (const std::string& part : GetParam().told) EXPECT_THAT(text, HasSubstr(part));
}

const std::vector<Wrong> wrong_files{
    {"unknown_type",
     "[[layer]]\ntype = \"convd\"\nname = \"c\"\n" + flat + head,
     {"net.toml:2: layer c: type = convd: unknown layer type (did you mean conv2d?)"}},
    {"far_type",
     "[[layer]]\ntype = \"attention\"\n" + flat + head,
     {"net.toml:2: layer attention1: type = attention: unknown layer type; there is: repeat, conv2d, "
      "linear"}},
    {"unknown_attribute",
     flat + head + "biass = false\n",
     {"net.toml:8: layer fc: biass = false: unknown attribute (did you mean bias?)"}},
    {"missing_attribute",
     "[[layer]]\ntype = \"conv2d\"\nname = \"c\"\nkernel = 3\n" + flat + head,
     {"net.toml:1: layer c: out_channels: is missing"}},
    {"wrong_value",
     "[[layer]]\ntype = \"conv2d\"\nname = \"c\"\nkernel = 2.5\nout_channels = 0\n" + flat + head,
     {"2 mistakes", "net.toml:4: layer c: kernel = 2.5: must be a whole number from 1 to 1048576, or two",
      "net.toml:5: layer c: out_channels = 0: must be a whole number from 1"}},
    {"name_missing",
     "[[layer]]\ntype = \"conv2d\"\nkernel = 3\nout_channels = 4\n" + flat + head,
     {"net.toml:1: layer conv2d1: name: is missing: conv2d layers are known by it in checkpoints"}},
    {"name_twice",
     flat + head + "\n" + head + "\n",
     {"net.toml:11: layer fc: name = fc: is the name of an earlier layer"}},
    {"unknown_input",
     flat + "[[layer]]\ntype = \"add\"\ninputs = [\"flaten1\", \"input\"]\n" + head,
     {"net.toml:6: layer add2: inputs = [flaten1, input]: no earlier layer has the name flaten1 (did you "
      "mean "
      "flatten1?)"}},
    {"shapes_of_add",
     flat + "[[layer]]\ntype = \"add\"\ninputs = [\"flatten1\", \"input\"]\n" + head,
     {"net.toml:4: layer add2: add: input 1 has shape [8, 8, 3], but input 0 has [192]"}},
    {"kernel_too_large",
     "[[layer]]\ntype = \"max_pool2d\"\nkernel = 9\n" + flat + head,
     {"net.toml:1: layer max_pool2d1: max_pool2d: ", "9x9", "[8, 8, 3]"}},
    {"logits_not_flat",
     "[[layer]]\ntype = \"linear\"\nname = \"fc\"\nout_features = \"classes\"\n",
     {"net.toml:1: loss: softmax_cross_entropy: the input has shape [8, 8, 10]"}},
    {"too_few_outputs",
     flat + "[[layer]]\ntype = \"linear\"\nname = \"fc\"\nout_features = 7\n",
     {"net.toml:1: loss: the network ends in [7], but datasets/d has 10 classes"}},
    {"loss_inside",
     flat + "[[layer]]\ntype = \"mse\"\n" + head,
     {"net.toml:5: layer mse2: type = mse: a loss is the last [[layer]]"}},
    {"smoothing",
     flat + head + "[[layer]]\ntype = \"cross-entropy\"\nlabel_smoothing = 1.5\n",
     {"net.toml:10: loss: label_smoothing = 1.5: must be a number from 0 to 0.999"}},
    {"repeat_count",
     "[[layer]]\ntype = \"repeat\"\nname = \"r\"\ncount = 0\n" + flat + head,
     {"net.toml:4: layer r: count = 0: must be a whole number from 1 to 1000",
      "net.toml:1: layer r: layer: is missing: describe the block"}},
    {"repeat_shape",
     flat +
         "[[layer]]\ntype = \"repeat\"\nname = \"r\"\ncount = 3\n[[layer.layer]]\ntype = \"linear\"\nname = "
         "\"w\"\nout_features = 192\n[[layer.layer]]\ntype = \"concat\"\ninputs = [\"w\", \"block_input\"]\n"
         "[[layer.layer]]\ntype = \"add\"\ninputs = [\"w\", \"concat2\"]\n" +
         head,
     {"net.toml:15: layer r.0.add3: add: input 1 has shape [384], but input 0 has [192]"}},
    {"unread",
     flat + "[[layer]]\ntype = \"relu\"\nname = \"lost\"\n" + head + "inputs = \"flatten1\"\n",
     {"net.toml:4: layer lost: nothing reads its output [192]"}},
    {"nothing_to_train", flat, {"no layer has parameters"}},
    {"not_toml", flat + "[[layer]\n", {"net.toml:4: is not TOML: "}},
    {"no_layers", "name = \"n\"\n", {"there are no layers"}},
    {"layer_is_no_table", "layer = [1, 2]\n", {"net.toml:1: layer = [1, 2]: must be tables"}},
    {"top_key",
     "clases = 3\n" + flat + head,
     {"net.toml:1: clases = 3: unknown attribute (did you mean classes?)"}},
    {"same_needs_odd",
     "[[layer]]\ntype = \"conv2d\"\nname = \"c\"\nout_channels = 2\nkernel = 2\npadding = \"same\"\n" + flat +
         head,
     {"net.toml:6: layer c: padding = same: needs an odd kernel, but it is 2x2"}},
    {"reads_twice",
     flat + "[[layer]]\ntype = \"add\"\ninputs = [\"flatten1\", \"flatten1\"]\n" + head,
     {"net.toml:4: layer add2: add reads flatten1 twice"}},
    {"bad_name",
     flat + "[[layer]]\ntype = \"relu\"\nname = \"a b\"\n" + head,
     {"net.toml:4: layer a b: node name \"a b\" is not valid"}},
    {"long_string", "name = \"\"\"a\nb\"\"\"\n" + flat + head, {"net.toml:1: strings of several lines"}},
    {"deep", "x = [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", {"net.toml:1: more than 16 brackets"}},
    {"dots",
     "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1\n",
     {"net.toml:1: more than 32 dots"}},
    // What the fuzz test found: toml++ 3.3 breaks its own preconditions on these.
    {"brackets", "[[[1]]]\n", {"net.toml:1: is not TOML: [ at the start"}},
    {"bracket_and_sign", flat + "[&", {"net.toml:4: is not TOML: [ at the start"}},
    {"no_ascii", flat + "k\xC3\xA9y = 1\n", {"net.toml:4: letters outside ASCII"}},
    {"brackets_and_equals", "[[=", {"net.toml:1: is not TOML: [ at the start"}},
};

INSTANTIATE_TEST_SUITE_P(Files, WrongModelFile, testing::ValuesIn(wrong_files),
                         [](const auto& wrong) { return wrong.param.name; });

TEST(ModelFile, OneMistakeIsToldOnceThoughLayersReadFromIt) {
    const std::string text =
        mistakes("[[layer]]\ntype = \"conv2d\"\nname = \"c\"\nout_channels = 4\nkernel = 99\n" + flat + head +
                 "p = 3\n");
    EXPECT_THAT(text, HasSubstr("2 mistakes"));
    EXPECT_THAT(text, AllOf(HasSubstr("net.toml:1: layer c"), HasSubstr("net.toml:13: layer fc: p = 3")));
}

TEST(ModelFile, RepeatBlocksTellAMistakeOnceAndKeepTheirNames) {
    const std::string text = mistakes(flat +
                                      "[[layer]]\ntype = \"repeat\"\nname = \"r\"\ncount = "
                                      "1000\n[[layer.layer]]\ntype = \"dropout\"\nname = "
                                      "\"d\"\np = 2\n" +
                                      head + "inputs = \"r.2.d\"\n");
    EXPECT_EQ(text, "net.toml:11: layer r.0.d: p = 2: must be a number from 0 to 0.999");
}

TEST(ModelFile, AMistakeThatIsReadTwiceIsToldOnce) {
    EXPECT_EQ(mistakes(flat + head + "[[layer]]\ntype = \"cross-entropy\"\ninputs = 3\n"),
              "net.toml:10: loss: inputs = 3: must be one name in quotes");
}

TEST(ModelFile, WhatItMayAskForIsBounded) {
    std::string nested = "[[layer]]\ntype = \"repeat\"\nname = \"r\"\ncount = 1000\n";
    std::string path = "layer";
    for (int i = 0; i < 4; ++i) {
        path += ".layer";
        nested += "[[" + path + "]]\ntype = \"repeat\"\nname = \"r\"\ncount = 1000\n";
    }
    nested += "[[" + path + ".layer]]\ntype = \"relu\"\n";
    EXPECT_THAT(mistakes(flat + nested + head), HasSubstr("more than 4 repeat blocks inside each other"));
    const std::string many =
        "[[layer]]\ntype = \"repeat\"\nname = \"r\"\ncount = 100\n[[layer.layer]]\ntype = \"repeat\"\nname = "
        "\"s\"\ncount = 100\n[[layer.layer.layer]]\ntype = \"relu\"\n";
    EXPECT_THAT(mistakes(flat + many + head), HasSubstr("the network has more than 4096 layers"));
    EXPECT_THAT(mistakes(std::string(largest_model_file + 1, '#')), HasSubstr("larger than 256 KiB"));
    EXPECT_THAT(
        mistakes(flat + "[[layer]]\ntype = \"relu\"\nname = \"" + std::string(100, 'a') + "\"\n" + head),
        HasSubstr("must have at most 64 letters"));
}

TEST(ModelFile, AMissingFileIsTold) {
    ModelSpec spec = images();
    spec.file = "no/such/net.toml";
    try {
        (void)build_model(spec);
        FAIL();
    } catch (const ConfigError& error) {
        EXPECT_THAT(error.what(), HasSubstr("model.file = no/such/net.toml: cannot be read"));
    }
}

}  // namespace
}  // namespace trireme::jobs
