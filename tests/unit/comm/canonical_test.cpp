// The canonical all-reduce against the tree evaluated in one place: same bits for every rank count, with
// ragged leaves, leaves without samples and ranks without leaves.
#include "comm/canonical.hpp"

#include <algorithm>

#include <gtest/gtest.h>

#include "comm/simulate.hpp"
#include "runtime/core/digest.hpp"
#include "runtime/core/philox.hpp"

namespace trireme::comm {
namespace {

/// Values whose sum depends on the order of addition.
float leaf_value(std::int64_t leaf, std::int64_t element) {
    const RandomStream random(9, "leaf", static_cast<std::uint64_t>(leaf));
    const auto index = static_cast<std::uint64_t>(element);
    return (random.uniform(2 * index) - 0.5F) * static_cast<float>(1 << (random.bits(2 * index + 1) % 12));
}

using Values = std::vector<float>;

Values add(Values a, const Values& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
}

Values leaf_values(std::int64_t leaf, std::int64_t count) {
    Values values;
    for (std::int64_t e = 0; e < count; ++e) values.push_back(leaf_value(leaf, e));
    return values;
}

/// The definition: the tree, node by node.
Values tree_sum(const LeafMask& present, IndexRange node, std::int64_t count) {
    if (node.size() == 1) return leaf_values(node.begin, count);
    const IndexRange left{node.begin, split_of(node)};
    const IndexRange right{split_of(node), node.end};
    if (!has_present(present, right)) return tree_sum(present, left, count);
    if (!has_present(present, left)) return tree_sum(present, right, count);
    return add(tree_sum(present, left, count), tree_sum(present, right, count));
}

struct Case {
    LeafMask present;
    int ranks;
    std::int64_t count;
    std::int64_t segment = 5;
};

CanonicalLayout layout_of(const Case& c) {
    CanonicalLayout layout;
    layout.present = c.present;
    const auto leaves = static_cast<std::int64_t>(c.present.size());
    for (int r = 0; r < c.ranks; ++r) layout.owned.push_back(even_piece(leaves, c.ranks, r));
    layout.range = {3, 3 + c.count};  // other buckets lie around it
    layout.stride = c.count + 7;
    return layout;
}

/// Each rank's buffer as its backward passes would leave it, by the schedule of slots.
std::vector<Values> buffers_of(const Case& c, CanonicalLayout& layout,
                               std::vector<std::int64_t>* slots_used = nullptr) {
    std::vector<LeafSchedule> schedules;
    int slots = 1;
    for (const IndexRange& owned : layout.owned) {
        schedules.push_back(leaf_schedule(c.present, owned));
        slots = std::max(slots, schedules.back().slots);
        if (slots_used != nullptr) slots_used->push_back(schedules.back().slots);
    }
    layout.scratch = slots * layout.stride;
    std::vector<Values> buffers;
    for (int r = 0; r < c.ranks; ++r) {
        Values buffer(static_cast<std::size_t>(layout.scratch + canonical_scratch(layout, r)), 777.0F);
        const auto place = [&](int slot) {
            return buffer.begin() + layout.range.begin + slot * layout.stride;
        };
        for (const LeafAction& action : schedules[static_cast<std::size_t>(r)].actions) {
            if (action.kind == LeafAction::Kind::compute) {
                const Values leaf = leaf_values(action.leaf, c.count);
                std::copy(leaf.begin(), leaf.end(), place(action.slot));
            } else {
                for (std::int64_t e = 0; e < c.count; ++e) place(action.slot)[e] += place(action.from)[e];
            }
        }
        buffers.push_back(std::move(buffer));
    }
    return buffers;
}

void expect_tree_sum(const Case& c) {
    SCOPED_TRACE(testing::Message() << c.ranks << " ranks, " << c.present.size() << " leaves, " << c.count
                                    << " elements");
    CanonicalLayout layout = layout_of(c);
    std::vector<Values> buffers = buffers_of(c, layout);
    std::vector<StepList> lists;
    for (int r = 0; r < c.ranks; ++r) lists.push_back(canonical_all_reduce(layout, r, c.segment));
    const SimulationResult result = simulate(lists, buffers);
    ASSERT_TRUE(result.ok()) << result.problem;
    const Values truth = tree_sum(c.present, {0, static_cast<std::int64_t>(c.present.size())}, c.count);
    for (const Values& buffer : buffers) {
        const Values got(buffer.begin() + layout.range.begin, buffer.begin() + layout.range.end);
        ASSERT_EQ(got, truth);
        EXPECT_EQ(buffer[2], 777.0F) << "the neighbour before the range is untouched";
    }
}

TEST(Canonical, SameBitsOnAnyRankCount) {
    for (std::int64_t leaves = 1; leaves <= 20; ++leaves) {
        for (int ranks = 1; ranks <= leaves; ++ranks) {
            for (std::int64_t count : {0, 1, 3, 17, 64}) {
                expect_tree_sum({LeafMask(static_cast<std::size_t>(leaves), true), ranks, count});
            }
        }
    }
}

TEST(Canonical, SixtyFourLeavesOnManyRanks) {
    for (int ranks : {1, 2, 3, 5, 7, 8, 13, 32, 63, 64})
        expect_tree_sum({LeafMask(64, true), ranks, 129, 16});
}

TEST(Canonical, LeavesWithoutSamplesAreLeftOut) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        const RandomStream random(seed, "mask");
        Case c{LeafMask(1 + random.below(0, 12)), 1, 11};
        for (std::size_t v = 0; v < c.present.size(); ++v) c.present[v] = random.below(v + 2, 3) != 0;
        c.present[random.below(1, c.present.size())] = true;
        c.ranks = static_cast<int>(1 + random.below(99, c.present.size()));
        expect_tree_sum(c);
    }
}

std::uint64_t hash_of(const Values& values) { return xxh3(values.data(), values.size() * sizeof(float)); }

/// The same leaves, exchanged as `leaf_at` says, along the same tree.
Values tree_sum_of(const std::vector<std::int64_t>& leaf_at, IndexRange node, std::int64_t count) {
    if (node.size() == 1) return leaf_values(leaf_at[static_cast<std::size_t>(node.begin)], count);
    return add(tree_sum_of(leaf_at, {node.begin, split_of(node)}, count),
               tree_sum_of(leaf_at, {split_of(node), node.end}, count));
}

/// Every rank adds its leaves in turn, then the ranks' sums are added in turn: what a sum without a tree
/// does.
Values sum_in_turn(std::int64_t leaves, int ranks, std::int64_t count) {
    Values all(static_cast<std::size_t>(count), 0.0F);
    for (int r = 0; r < ranks; ++r) {
        Values mine(static_cast<std::size_t>(count), 0.0F);
        const IndexRange owned = even_piece(leaves, ranks, r);
        for (std::int64_t v = owned.begin; v < owned.end; ++v) mine = add(mine, leaf_values(v, count));
        all = add(all, mine);
    }
    return all;
}

TEST(Canonical, AnotherOrderOfTheSameLeavesIsNoticed) {
    // What makes the comparisons of hashes, here and in whole runs, say something: they see the order.
    constexpr std::int64_t count = 64;
    const std::uint64_t right = hash_of(tree_sum(LeafMask(8, true), {0, 8}, count));
    EXPECT_EQ(hash_of(tree_sum_of({0, 1, 2, 3, 4, 5, 6, 7}, {0, 8}, count)), right);
    EXPECT_EQ(hash_of(tree_sum_of({1, 0, 2, 3, 4, 5, 6, 7}, {0, 8}, count)), right) << "a + b is b + a";
    EXPECT_NE(hash_of(tree_sum_of({0, 2, 1, 3, 4, 5, 6, 7}, {0, 8}, count)), right) << "other pairs";
    EXPECT_NE(hash_of(tree_sum_of({0, 1, 2, 4, 3, 5, 6, 7}, {0, 8}, count)), right) << "other halves";
    for (const int ranks : {1, 3, 5, 8}) EXPECT_NE(hash_of(sum_in_turn(8, ranks, count)), right) << ranks;
    EXPECT_NE(hash_of(sum_in_turn(8, 3, count)), hash_of(sum_in_turn(8, 5, count)));
}

TEST(Canonical, NobodyIsABottleneck) {
    const Case c{LeafMask(8, true), 4, 4096, 4096};
    CanonicalLayout layout = layout_of(c);
    (void)buffers_of(c, layout);
    for (int r = 0; r < 4; ++r) {
        const StepList list = canonical_all_reduce(layout, r, c.segment);
        EXPECT_EQ(sent_by(list), Elements(2 * 3 * 1024)) << "one node a rank: as many bytes as a ring";
        EXPECT_EQ(received_by(list), Elements(2 * 3 * 1024));
    }
}

TEST(LeafTree, SlotsGrowWithTheLogarithm) {
    for (std::int64_t leaves : {1, 2, 3, 8, 13, 64, 100}) {
        const LeafSchedule schedule =
            leaf_schedule(LeafMask(static_cast<std::size_t>(leaves), true), {0, leaves});
        std::int64_t log = 0;
        while ((std::int64_t{1} << log) < leaves) ++log;
        EXPECT_LE(schedule.slots, log + 1);
        EXPECT_EQ(schedule.actions.size(), static_cast<std::size_t>(2 * leaves - 1))
            << "each leaf once, each inner node once";
    }
}

TEST(LeafTree, HeldNodesAreTheLargestInside) {
    const LeafMask present(8, true);
    EXPECT_EQ(held_nodes(present, {2, 5}), (std::vector<IndexRange>{{2, 4}, {4, 5}}));
    EXPECT_EQ(held_nodes(present, {0, 8}), (std::vector<IndexRange>{{0, 8}}));
    EXPECT_EQ(held_nodes(present, {3, 3}), (std::vector<IndexRange>{}));
}

}  // namespace
}  // namespace trireme::comm
