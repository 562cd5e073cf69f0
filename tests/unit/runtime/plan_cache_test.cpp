// The memory of tuned plans: what times decide, what a key tells apart, and files that are damaged.
#include "runtime/kernels/rules/plan_cache.hpp"

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr PlanEnvironment h100() { return {"H100", 90, 91900, 130101}; }

std::vector<double> around(double middle) {
    std::vector<double> times;
    for (int i = -5; i <= 5; ++i) times.push_back(middle + i);
    return times;
}

class PlanCacheFile : public ::testing::Test {
  protected:
    PlanCacheFile() { std::filesystem::create_directories(folder_); }
    ~PlanCacheFile() override { std::filesystem::remove_all(folder_); }
    [[nodiscard]] std::filesystem::path path() const { return folder_ / "deeper" / "plans.json"; }
    void write(std::string_view text) const {
        std::filesystem::create_directories(path().parent_path());
        std::ofstream(path(), std::ios::binary) << text;
    }

  private:
    std::filesystem::path folder_ =
        std::filesystem::path(::testing::TempDir()) /
        (std::string("plan_cache_") + ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

/// The median, not the fastest run and not the mean.
TEST(PlanTuning, TheLeastMedianIsChosen) {
    PlanTimes lucky{"lucky", around(20)};
    lucky.microseconds.front() = 1;
    PlanTimes steady{"steady", around(15)};
    steady.microseconds.back() = 1000;
    const std::vector<PlanTimes> plans{lucky, steady};
    EXPECT_EQ(fastest(plans), (PlanChoice{"steady", 15}));
}

TEST(PlanTuning, OfEqualMediansTheLibrarysFirstIsChosen) {
    const std::vector<PlanTimes> plans{{"first", around(15)}, {"second", around(15)}};
    EXPECT_EQ(fastest(plans)->plan, "first");
}

TEST(PlanTuning, FewRunsDecideNothing) {
    std::vector<PlanTimes> plans{{"short", {1, 1, 1, 1, 1, 1, 1, 1, 1}}};
    EXPECT_EQ(fastest(plans), std::nullopt);
    plans.push_back({"long enough", around(30)});
    EXPECT_EQ(fastest(plans)->plan, "long enough");
    EXPECT_EQ(fastest({}), std::nullopt);
}

TEST(PlanCache, AKeyTellsGraphsAndEnvironmentsApart) {
    PlanCache cache(h100());
    cache.put("conv", {"eng1", 10});
    EXPECT_EQ(cache.find("conv"), (PlanChoice{"eng1", 10}));
    EXPECT_EQ(cache.find("conv deterministic"), std::nullopt);
    std::vector<PlanEnvironment> others(4, h100());
    others[0].gpu = "A100";
    others[1].sm = 80;
    others[2].cudnn = 92000;
    others[3].cublaslt = 130200;
    for (const PlanEnvironment& environment : others) {
        PlanCache other(environment);
        other.merge(cache.text());
        EXPECT_EQ(other.find("conv"), std::nullopt) << environment.str();
        EXPECT_EQ(other.size(), 1U) << "what others measured is kept";
    }
}

TEST(PlanCache, WhatOneRankFoundIsTheOthersToo) {
    PlanCache first(h100());
    first.put("a", {"eng1", 10.25});
    first.put("b", {"eng2_k2=4", 3});
    PlanCache second(h100());
    second.put("a", {"eng9", 1});
    second.put("c", {"eng3", 2});
    second.merge(first.text());
    EXPECT_EQ(second.find("a"), (PlanChoice{"eng1", 10.25}));
    EXPECT_EQ(second.find("b"), (PlanChoice{"eng2_k2=4", 3}));
    EXPECT_EQ(second.find("c"), (PlanChoice{"eng3", 2}));
    first.merge(second.text());
    EXPECT_EQ(first.text(), second.text());
}

/// A rank whose own file knew more than rank 0's must not choose by it.
TEST(PlanCache, WhatAllRanksUseReplacesWhatOneKnew) {
    PlanCache first(h100());
    first.put("a", {"eng1", 10.25});
    PlanCache second(h100());
    second.put("a", {"eng9", 1});
    second.put("c", {"eng3", 2});
    EXPECT_THROW(second.replace("nonsense"), DataError);
    EXPECT_EQ(second.size(), 2U);
    second.replace(first.text());
    EXPECT_EQ(second.text(), first.text());
    EXPECT_EQ(second.find("a"), (PlanChoice{"eng1", 10.25}));
}

TEST(PlanCache, LiesWhereTheUserOrTheSystemKeepsCaches) {
    std::map<std::string, const char*> set{
        {"TRIREME_PLAN_CACHE", "/fast/plans"}, {"XDG_CACHE_HOME", "/caches"}, {"HOME", "/home/rower"}};
    const auto variable = [&](const char* name) -> const char* {
        const auto found = set.find(name);
        return found == set.end() ? nullptr : found->second;
    };
    EXPECT_EQ(plan_cache_path(variable), "/fast/plans");
    set.erase("TRIREME_PLAN_CACHE");
    EXPECT_EQ(plan_cache_path(variable), "/caches/trireme/plans.json");
    set.erase("XDG_CACHE_HOME");
    EXPECT_EQ(plan_cache_path(variable), "/home/rower/.cache/trireme/plans.json");
    set.erase("HOME");
    EXPECT_EQ(plan_cache_path(variable), "");
}

TEST_F(PlanCacheFile, WhatWasWrittenIsReadAgain) {
    PlanCache cache(h100());
    EXPECT_EQ(cache.read(path()), "") << "no file is no mistake";
    cache.put("conv", {"eng1", 10});
    cache.write(path());
    PlanCache again(h100());
    EXPECT_EQ(again.read(path()), "");
    EXPECT_EQ(again.text(), cache.text());
}

TEST_F(PlanCacheFile, DamagedFilesAreToldAndPassedOver) {
    PlanCache good(h100());
    good.put("conv", {"eng1", 10});
    const std::string text = good.text();
    const auto replaced = [&](std::string_view from, std::string_view to) {
        std::string changed = text;
        changed.replace(changed.find(from), from.size(), to);
        return changed;
    };
    const std::vector<std::pair<std::string, std::string>> damaged{
        {"", "is not JSON"},
        {text.substr(0, text.size() / 2), "is not JSON"},
        {"[]", "does not have the format 'trireme plan cache 2'"},
        {replaced("cache 2", "cache 1"), "does not have the format"},
        {R"({"format": "trireme plan cache 2"})", "has no plans"},
        {R"({"format": "trireme plan cache 2", "plans": []})", "has no plans"},
        {replaced("\"eng1\"", "7"), "has no plan with its microseconds at 'H100 sm_90"},
        {replaced("\"eng1\"", "\"\""), "has no possible plan or time"},
        {replaced("10.0", "-1"), "has no possible plan or time"},
        {replaced("10.0", "\"fast\""), "has no plan with its microseconds"},
    };
    for (const auto& [content, why] : damaged) {
        write(content);
        PlanCache cache(h100());
        cache.put("other", {"eng5", 1});
        EXPECT_THAT(cache.read(path()),
                    AllOf(StartsWith(path().string()), HasSubstr(why), HasSubstr("measured again")))
            << content;
        EXPECT_EQ(cache.size(), 1U) << content;
    }
    EXPECT_THROW(PlanCache(h100()).merge("nonsense"), DataError);
}

}  // namespace
}  // namespace trireme
