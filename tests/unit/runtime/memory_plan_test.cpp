#include "runtime/plan/memory_plan.hpp"

#include <gtest/gtest.h>

#include "runtime/core/philox.hpp"

namespace trireme {
namespace {

void expect_valid(const MemoryPlan& plan) {
    for (std::size_t a = 0; a < plan.buffers.size(); ++a) {
        EXPECT_EQ(plan.offsets[a].value % 64, 0);
        EXPECT_LE(plan.offsets[a].value + plan.buffers[a].size.value, plan.size.value);
        for (std::size_t b = 0; b < a; ++b) {
            const bool together = plan.buffers[a].first <= plan.buffers[b].last &&
                                  plan.buffers[b].first <= plan.buffers[a].last;
            const bool apart = plan.offsets[a].value + plan.buffers[a].size.value <= plan.offsets[b].value ||
                               plan.offsets[b].value + plan.buffers[b].size.value <= plan.offsets[a].value;
            EXPECT_TRUE(!together || apart) << plan.buffers[a].name << " and " << plan.buffers[b].name;
        }
    }
}

TEST(MemoryPlan, ReusesMemoryOfTheDead) {
    const MemoryPlan plan =
        plan_memory({{"a", Bytes(640), 0, 1}, {"b", Bytes(640), 1, 2}, {"c", Bytes(640), 2, 3}});
    expect_valid(plan);
    EXPECT_EQ(plan.size, Bytes(1280));
    EXPECT_EQ(plan.lower_bound, Bytes(1280));
}

TEST(MemoryPlan, TouchingLivesDoNotShare) {
    // An instruction reads its inputs while it writes its output: a life ends after the instruction, not
    // before.
    const MemoryPlan plan = plan_memory({{"in", Bytes(64), 0, 5}, {"out", Bytes(64), 5, 9}});
    expect_valid(plan);
    EXPECT_EQ(plan.size, Bytes(128));
}

TEST(MemoryPlan, RandomLivesAreValidAndNearTheBound) {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        const RandomStream random(seed, "lives");
        std::vector<BufferLife> lives;
        for (std::uint64_t i = 0; i < 60; ++i) {
            const auto first = static_cast<int>(random.below(3 * i, 100));
            lives.push_back({"b" + std::to_string(i),
                             Bytes(static_cast<std::int64_t>(1 + random.below(3 * i + 1, 100000))), first,
                             first + static_cast<int>(random.below(3 * i + 2, 20))});
        }
        const MemoryPlan plan = plan_memory(lives);
        expect_valid(plan);
        EXPECT_GE(plan.size, plan.lower_bound);
        EXPECT_LE(static_cast<double>(plan.size.value), 1.5 * static_cast<double>(plan.lower_bound.value));
    }
}

TEST(MemoryPlan, NothingNeedsNothing) { EXPECT_EQ(plan_memory(std::vector<BufferLife>{}).size, Bytes(0)); }

}  // namespace
}  // namespace trireme
