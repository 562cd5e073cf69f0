#include "runtime/optim/param_groups.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/support/tiny_graphs.hpp"

namespace trireme {
namespace {

using ::testing::HasSubstr;

TEST(ParamGroups, PatternsFitWholeNames) {
    EXPECT_TRUE(matches_name("fc1.weight", "fc1.weight"));
    EXPECT_FALSE(matches_name("fc1", "fc1.weight"));
    EXPECT_TRUE(matches_name("*.bias", "fc1.bias"));
    EXPECT_FALSE(matches_name("*.bias", "fc1.bias2"));
    EXPECT_TRUE(matches_name("fc?.*", "fc2.bias"));
    EXPECT_FALSE(matches_name("fc?.*", "fc.bias"));
    EXPECT_TRUE(matches_name("*a*b*c", "xxaxbbaxbxc"));
    EXPECT_FALSE(matches_name("*a*b*c", "xxaxbbaxbx"));
    EXPECT_TRUE(matches_name("*", "anything"));
    EXPECT_TRUE(matches_name("*b", "ab"));
    EXPECT_TRUE(matches_name("conv*, *.bias", "fc1.bias"));
    EXPECT_FALSE(matches_name("", "fc1.bias"));
}

std::vector<ParamSettings> settings_of(const OptimizerSpec& spec, const layers::ModelGraph& graph,
                                       const std::string& name, ParamSettings& out) {
    std::vector<ParamSettings> all = param_settings(spec, graph);
    for (std::size_t p = 0; p < all.size(); ++p) {
        if (graph.params()[p].name == name) out = all[p];
    }
    return all;
}

ParamSettings of(const OptimizerSpec& spec, const std::string& name) {
    const layers::ModelGraph graph = test::tiny_convnet();
    ParamSettings found{-1, -1, false};
    settings_of(spec, graph, name, found);
    return found;
}

TEST(ParamGroups, TheFirstMatchDecides) {
    OptimizerSpec spec{.name = "sgd", .lr = 0.2, .weight_decay = 0.1};
    spec.groups = {{"biases", "*.bias", std::nullopt, 0.0}, {"head", "fc2.*", 0.05, 0.5}};
    EXPECT_EQ(of(spec, "fc2.bias"), (ParamSettings{1, 0, true}));
    EXPECT_EQ(of(spec, "fc2.weight"), (ParamSettings{0.25, 0.5, true}));
    EXPECT_EQ(of(spec, "conv1.weight"), (ParamSettings{1, 0.1, true}));
    std::swap(spec.groups[0], spec.groups[1]);
    EXPECT_EQ(of(spec, "fc2.bias"), (ParamSettings{0.25, 0.5, true}));
}

TEST(ParamGroups, LargeBatchRulesLeaveBiasesPlain) {
    OptimizerSpec spec{.name = "lars", .weight_decay = 0.1};
    EXPECT_EQ(of(spec, "fc1.bias"), (ParamSettings{1, 0, false}));
    EXPECT_EQ(of(spec, "fc1.weight"), (ParamSettings{1, 0.1, true}));
    spec.groups = {{"biases", "*.bias", std::nullopt, 0.3}};
    EXPECT_EQ(of(spec, "fc1.bias"), (ParamSettings{1, 0.3, false}));
}

std::string mistake(const std::vector<ParamGroup>& groups, double lr = 0.1) {
    try {
        (void)param_settings({.lr = lr, .groups = groups}, test::tiny_convnet());
    } catch (const ConfigError& error) {
        return error.what();
    }
    return "none";
}

TEST(ParamGroups, AGroupWithoutParametersIsTold) {
    EXPECT_THAT(mistake({{"b", "*.bais", 0.1, {}}}),
                HasSubstr("optimizer.b.match = *.bais: matches no parameter; the nearest are conv1.bias, "
                          "fc1.bias, fc2.bias"));
    EXPECT_THAT(mistake({{"head", "fc2.wieght", 0.1, {}}}), HasSubstr("the nearest are fc2.weight"));
    EXPECT_THAT(mistake({{"x", "encoder.*", 0.1, {}}}), HasSubstr("the model has conv1.weight"));
    EXPECT_THAT(mistake({{"all", "*", 0.1, {}}, {"late", "fc1.*", 0.1, {}}}),
                HasSubstr("optimizer.late.match = fc1.*: every parameter that it matches"));
    EXPECT_THAT(mistake({{"all", "*", 0.1, {}}}, 0),
                HasSubstr("optimizer.all.lr needs optimizer.lr above 0"));
}

}  // namespace
}  // namespace trireme
