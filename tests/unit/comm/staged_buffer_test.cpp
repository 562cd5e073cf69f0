// Collectives whose operands come late and in any order, and whose results leave while steps go on.
#include "comm/staged_buffer.hpp"

#include <algorithm>
#include <limits>
#include <memory>

#include <gtest/gtest.h>

#include "comm/canonical.hpp"
#include "comm/collective_task.hpp"
#include "comm/halving_doubling.hpp"
#include "comm/inproc_transport.hpp"
#include "comm/ring.hpp"
#include "comm/tag.hpp"
#include "tests/unit/comm/allocation_count.hpp"
#include "tests/unit/comm/late_ops.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

constexpr std::int64_t staged_segment = 16;  // elements
constexpr std::int64_t staged_piece = 24;    // of what arrives: no multiple of a segment

/// A sum over ranks by one kind of list: what each rank's device holds, and what must come back to it.
struct StagedCase {
    std::string name;
    std::vector<StepList> lists;
    std::vector<std::vector<float>> device;  ///< by rank: the operands, with all slots
    std::int64_t memory = 0;                 ///< elements of a host buffer: scratch included
    IndexRange result;                       ///< where the sum goes
    std::vector<float> sum;
};

StagedCase flat_case(bool ring, int ranks, std::int64_t count) {
    StagedCase c;
    c.name = ring ? "ring" : "halving and doubling";
    for (int r = 0; r < ranks; ++r) {
        c.lists.push_back(ring ? ring_all_reduce(ranks, r, count, staged_segment)
                               : halving_doubling_all_reduce(ranks, r, count, staged_segment));
        std::vector<float>& mine = c.device.emplace_back();
        for (std::int64_t e = 0; e < count; ++e) mine.push_back(exact_input(r, e));
    }
    c.memory = count;
    c.result = {0, count};
    c.sum = exact_sums(ranks, count);
    return c;
}

/// A tree over `leaves`; where there are fewer than ranks, some ranks hold nothing.
StagedCase tree_case(int ranks, std::int64_t leaves, std::int64_t count) {
    StagedCase c;
    c.name = "tree over " + std::to_string(leaves);
    CanonicalLayout layout;
    layout.present = LeafMask(static_cast<std::size_t>(leaves), true);
    layout.range = {3, 3 + count};
    layout.stride = count + 7;
    std::size_t slots = 1;
    for (int r = 0; r < ranks; ++r) {
        layout.owned.push_back(even_piece(leaves, ranks, r));
        slots = std::max(slots, held_nodes(layout.present, layout.owned.back()).size());
    }
    layout.scratch = static_cast<std::int64_t>(slots) * layout.stride;
    c.sum.assign(static_cast<std::size_t>(count), 0.0F);
    for (int r = 0; r < ranks; ++r) {
        c.lists.push_back(canonical_all_reduce(layout, r, staged_segment));
        c.memory = std::max(c.memory, layout.scratch + canonical_scratch(layout, r));
        std::vector<float>& mine = c.device.emplace_back(static_cast<std::size_t>(layout.scratch), 0.0F);
        const auto nodes = held_nodes(layout.present, layout.owned[static_cast<std::size_t>(r)]);
        for (std::size_t slot = 0; slot < nodes.size(); ++slot) {
            for (std::int64_t e = 0; e < count; ++e) {
                const float value = exact_input(r, e + 1000 * static_cast<std::int64_t>(slot));
                const auto at = static_cast<std::int64_t>(slot) * layout.stride + layout.range.begin + e;
                mine[static_cast<std::size_t>(at)] = value;
                c.sum[static_cast<std::size_t>(e)] += value;
            }
        }
    }
    c.result = layout.range;
    return c;
}

std::vector<StagedCase> staged_cases(std::int64_t count) {
    std::vector<StagedCase> all;
    for (int ranks = 2; ranks <= 5; ++ranks) {
        all.push_back(flat_case(true, ranks, count));
        all.push_back(flat_case(false, ranks, count));
        all.push_back(tree_case(ranks, 12, count));
        all.push_back(tree_case(ranks, 2, count));
    }
    return all;
}

/// Host memory in front of a device. Before a piece arrives its elements are no numbers, and its arrival
/// overwrites whatever has landed there; what settles is copied back at once.
class StagedDouble final : public StagedBuffer {
  public:
    /// Pieces arrive in the order in which the list touches them, or in any.
    StagedDouble(const StepList& list, const std::vector<float>& device, std::int64_t memory, bool in_order,
                 std::uint64_t seed)
        : StagedBuffer(std::make_shared<const StepList>(list)),
          device_(device),
          host_(static_cast<std::size_t>(memory), std::numeric_limits<float>::quiet_NaN()),
          told_(host_.size(), 0) {
        const auto size = static_cast<std::int64_t>(device.size());
        for (std::int64_t begin = 0; begin < size; begin += staged_piece)
            pieces_.push_back({begin, std::min(size, begin + staged_piece)});
        order_ = first_touches(list, pieces_);
        const RandomStream dice(seed, "order of arrival");
        for (std::size_t i = order_.size(); !in_order && i > 1; --i)
            std::swap(order_[i - 1], order_[dice.below(i, i)]);
    }

    void let_one_arrive() {
        if (there_ == order_.size()) return;
        const IndexRange range = pieces_[order_[there_++]];
        std::copy(device_.begin() + range.begin, device_.begin() + range.end, host_.begin() + range.begin);
    }
    [[nodiscard]] bool arrived(IndexRange range) override {
        return std::all_of(order_.begin() + static_cast<std::ptrdiff_t>(there_), order_.end(),
                           [&](std::size_t late) {
                               const IndexRange& p = pieces_[late];
                               return p.end <= range.begin || range.end <= p.begin;
                           });
    }
    void settled(IndexRange range) override {
        EXPECT_TRUE(arrived(range)) << "a copy back would overtake the copy to the host";
        for (std::int64_t e = range.begin; e < range.end; ++e) {
            ++told_[static_cast<std::size_t>(e)];
            if (e < static_cast<std::int64_t>(device_.size()))
                device_[static_cast<std::size_t>(e)] = host_[static_cast<std::size_t>(e)];
        }
        moved_back_ += range.size();
    }

    [[nodiscard]] std::byte* data() { return reinterpret_cast<std::byte*>(host_.data()); }
    [[nodiscard]] const std::vector<int>& told() const { return told_; }
    [[nodiscard]] bool all_there() const { return there_ == order_.size(); }
    [[nodiscard]] std::int64_t moved_back() const { return moved_back_; }
    [[nodiscard]] std::vector<float> on_the_device(IndexRange range) const {
        return {device_.begin() + range.begin, device_.begin() + range.end};
    }

  private:
    std::vector<float> device_;
    std::vector<float> host_;
    std::vector<int> told_;  ///< by element: how often it settled
    std::vector<IndexRange> pieces_;
    std::vector<std::size_t> order_;
    std::size_t there_ = 0;
    std::int64_t moved_back_ = 0;
};

/// All ranks of a case in one thread.
struct StagedWorld {
    StagedWorld(const StagedCase& c, bool in_order, bool late_operations, std::uint64_t seed) {
        const int ranks = static_cast<int>(c.lists.size());
        transports = in_process_transports(ranks);
        for (int r = 0; r < ranks; ++r) {
            const auto place = static_cast<std::size_t>(r);
            const std::uint64_t own_seed = seed * 100 + place;
            groups.push_back(Group::world(ranks, r));
            if (late_operations) {
                ops.push_back(std::make_unique<LateOps>(own_seed));
            } else {
                ops.push_back(std::make_unique<HostOps>());
            }
            staging.push_back(std::make_unique<StagingPool>(staged_segment * 4, slots_per_task));
            buffers.push_back(std::make_unique<StagedDouble>(c.lists[place], c.device[place], c.memory,
                                                             in_order, own_seed));
            tasks.push_back(
                std::make_unique<CollectiveTask>(*transports[place], *staging[place], *ops[place]));
        }
        for (std::size_t r = 0; r < tasks.size(); ++r)
            tasks[r]->start(buffers[r]->steps(), groups[r], Tag{0, 1, 1}.pack(), buffers[r]->data(),
                            DType::f32, buffers[r].get());
    }
    ~StagedWorld() {
        tasks.clear();
        for (auto& transport : transports) transport->close();
    }
    [[nodiscard]] bool done() const {
        return std::all_of(tasks.begin(), tasks.end(), [](const auto& t) { return t->done(); });
    }

    std::vector<std::unique_ptr<Transport>> transports;
    std::vector<Group> groups;
    std::vector<std::unique_ptr<MemoryOps>> ops;
    std::vector<std::unique_ptr<StagingPool>> staging;
    std::vector<std::unique_ptr<StagedDouble>> buffers;
    std::vector<std::unique_ptr<CollectiveTask>> tasks;
};

/// Every element that some step stores settles once, and the device has the sum.
void expect_staged_sum(const StagedCase& c, const StagedWorld& world) {
    for (std::size_t r = 0; r < c.lists.size(); ++r) {
        std::vector<int> stored(static_cast<std::size_t>(c.memory), 0);
        for (const Step& step : c.lists[r]) {
            if (!stores(step.verb)) continue;
            std::fill_n(stored.begin() + step.offset, step.count, 1);
        }
        ASSERT_EQ(world.buffers[r]->told(), stored) << c.name << ", rank " << r;
        ASSERT_EQ(world.buffers[r]->on_the_device(c.result), c.sum) << c.name << ", rank " << r;
    }
}

void expect_staged_sums(bool late_operations) {
    for (const StagedCase& c : staged_cases(211)) {
        for (std::uint64_t seed = 0; seed < 40 && !testing::Test::HasFailure(); ++seed) {
            SCOPED_TRACE(testing::Message() << c.lists.size() << " ranks, seed " << seed);
            StagedWorld world(c, seed % 2 == 0, late_operations, seed);
            const RandomStream dice(seed, "interleaving");
            for (std::uint64_t turn = 0; !world.done(); ++turn) {
                ASSERT_LT(turn, 100'000U) << "stuck: " << c.name;
                const std::uint64_t rank = dice.below(2 * turn, c.lists.size());
                if (dice.below(2 * turn + 1, 2) == 0) world.buffers[rank]->let_one_arrive();
                (void)world.tasks[rank]->advance();
            }
            expect_staged_sum(c, world);
        }
    }
}

TEST(StagedBuffer, OperandsThatComeInAnyOrderGiveTheSums) { expect_staged_sums(/*late_operations=*/false); }

TEST(StagedBuffer, AlsoWhereOperationsRunBehindTheHost) { expect_staged_sums(/*late_operations=*/true); }

/// What it is for: before the last piece has come, results are on their way back. (Along the tree a rank
/// begins by sending everything that others evaluate, so that there results come last.)
TEST(StagedBuffer, ResultsLeaveWhileOperandsAreStillToCome) {
    for (const bool ring : {true, false}) {
        const StagedCase c = flat_case(ring, 2, 2000);
        StagedWorld world(c, /*in_order=*/true, /*late_operations=*/false, 1);
        std::int64_t early = 0;
        for (int turn = 0; !world.done(); ++turn) {
            ASSERT_LT(turn, 10'000) << "stuck";
            for (std::size_t r = 0; r < 2; ++r) {
                if (turn % 8 == 0) world.buffers[r]->let_one_arrive();
                (void)world.tasks[r]->advance();
            }
            if (!world.buffers[0]->all_there()) early = world.buffers[0]->moved_back();
        }
        expect_staged_sum(c, world);
        EXPECT_GT(early, 500) << c.name;
    }
}

TEST(StagedBuffer, AStepThatWaitsForItsOperandBlamesNobody) {
    const StagedCase c = flat_case(/*ring=*/false, 3, 100);
    StagedWorld world(c, /*in_order=*/true, /*late_operations=*/false, 1);
    (void)world.tasks[0]->advance();
    EXPECT_EQ(world.tasks[0]->waits_for(), std::vector<int>{1}) << "rank 1 adds to it first";
    while (!world.buffers[1]->all_there()) world.buffers[1]->let_one_arrive();
    (void)world.tasks[1]->advance();
    (void)world.tasks[0]->advance();
    EXPECT_EQ(world.tasks[0]->waits_for(), std::vector<int>{})
        << "the message has come, its own part has not";
    EXPECT_EQ(world.tasks[0]->executed(), 0);
}

/// Copies back run on a queue of the memory's operations: giving up waits for them.
TEST(StagedBuffer, ATaskThatIsGivenUpLeavesNoCopyInFlight) {
    class CountedOps final : public HostOps {
      public:
        void drain() noexcept override { ++drains; }
        int drains = 0;
    };
    const StagedCase c = flat_case(true, 2, 300);
    StagedWorld world(c, true, false, 1);
    CountedOps ops;
    StagingPool staging(staged_segment * 4, slots_per_task);
    CollectiveTask task(*world.transports[0], staging, ops);
    task.start(world.buffers[0]->steps(), world.groups[0], Tag{0, 2, 1}.pack(), world.buffers[0]->data(),
               DType::f32, world.buffers[0].get());
    task.cancel();
    EXPECT_EQ(ops.drains, 1);
}

TEST(StagedBuffer, AWarmTaskAllocatesNothing) {
    constexpr int rounds = 4;
    const StagedCase c = flat_case(true, 3, 1000);
    StagedWorld world(c, true, false, 1);
    std::int64_t before = 0;
    for (int round = 0; round < rounds; ++round) {
        // Pieces come in the first round only, and messages meet the sooner in the second.
        if (round == 2) before = allocations_so_far();
        for (std::size_t r = 0; round > 0 && r < 3; ++r)
            world.tasks[r]->start(world.buffers[r]->steps(), world.groups[r], Tag{0, 1, 1}.pack(),
                                  world.buffers[r]->data(), DType::f32, world.buffers[r].get());
        while (!world.done()) {
            for (std::size_t r = 0; r < 3; ++r) {
                world.buffers[r]->let_one_arrive();
                (void)world.tasks[r]->advance();
            }
        }
    }
    EXPECT_EQ(allocations_so_far(), before);
}

TEST(FinalStores, AreTheLastOnes) {
    for (const StagedCase& c : staged_cases(211)) {
        for (const StepList& list : c.lists) {
            const auto size = static_cast<std::size_t>(c.memory);
            constexpr std::size_t never = std::numeric_limits<std::size_t>::max();
            std::vector<std::size_t> last(size, never);
            for (std::size_t i = 0; i < list.size(); ++i) {
                if (stores(list[i].verb)) std::fill_n(last.begin() + list[i].offset, list[i].count, i);
            }
            std::vector<std::size_t> found(size, never);
            std::size_t step = 0;
            for (const FinalStore& store : final_stores(list)) {
                EXPECT_GE(store.step, step) << "in the order of steps";
                step = store.step;
                for (auto e = static_cast<std::size_t>(store.range.begin);
                     e < static_cast<std::size_t>(store.range.end); ++e) {
                    EXPECT_EQ(found[e], never) << "element " << e << " is told twice";
                    found[e] = store.step;
                }
            }
            ASSERT_EQ(found, last) << c.name;
        }
    }
}

TEST(FinalStores, AreCutWhereLaterStepsStoreToAPart) {
    const StepList list{{Verb::recv, 0, 10, 1, -1},
                        {Verb::recv, 3, 2, 1, -1},
                        {Verb::recv, 7, 9, 1, -1},
                        {Verb::send, 0, 10, -1, 1},
                        {Verb::recv, 8, 1, 1, -1}};
    EXPECT_EQ(final_stores(list),
              (std::vector<FinalStore>{
                  {0, {0, 3}}, {0, {5, 7}}, {1, {3, 5}}, {2, {7, 8}}, {2, {9, 16}}, {4, {8, 9}}}));
}

TEST(FirstTouches, FollowTheList) {
    const std::vector<IndexRange> pieces{{0, 4}, {4, 8}, {10, 14}, {14, 18}, {20, 24}};
    Step sum{Verb::add, 11, 2, -1, -1};
    sum.source = 21;
    EXPECT_EQ(first_touches({{Verb::send, 15, 1, -1, 1}, {Verb::recv, 3, 2, 1, -1}, sum}, pieces),
              (std::vector<std::size_t>{3, 0, 1, 2, 4}));
    EXPECT_EQ(first_touches({{Verb::send, 8, 2, -1, 1}}, pieces), std::vector<std::size_t>{}) << "a gap";
    // A ring begins with the chunk of its rank.
    EXPECT_EQ(
        first_touches(ring_all_reduce(2, 1, 64, staged_segment), std::vector<IndexRange>{{0, 32}, {32, 64}}),
        (std::vector<std::size_t>{1, 0}));
}

}  // namespace
}  // namespace trireme::comm
