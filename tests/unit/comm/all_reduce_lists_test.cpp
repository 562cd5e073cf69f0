// Both all-reduce algorithms, proved by simulation for every size from 1 to 64.
#include <bit>
#include <map>

#include <gtest/gtest.h>

#include "comm/halving_doubling.hpp"
#include "comm/ring.hpp"
#include "tests/unit/comm/list_checks.hpp"

namespace trireme::comm {
namespace {

constexpr std::int64_t segment = 16;
// 0, 1, primes, and several segments a chunk in the smaller worlds.
const std::vector<std::int64_t> counts{0, 1, 2, 13, 127, 1009};

std::int64_t chunk_size(std::int64_t count, int ranks, int chunk) {
    return even_piece(count, ranks, chunk % ranks).size();
}

void check_ring_sums_and_bytes(int n) {
    for (const std::int64_t count : counts) {
        const SimulatedWorld world =
            run_world(n, count, [&](int r) { return ring_all_reduce(n, r, count, segment); });
        ASSERT_TRUE(world.result.ok()) << n << " ranks, " << count << ": " << world.result.problem;
        for (int r = 0; r < n; ++r) {
            const StepList& list = world.lists[static_cast<std::size_t>(r)];
            ASSERT_EQ(world.data[static_cast<std::size_t>(r)], exact_sums(n, count)) << "rank " << r;
            if (n == 1) {
                ASSERT_TRUE(list.empty());
                continue;
            }
            const std::int64_t expected_sent =
                2 * count - chunk_size(count, n, r + 1) - chunk_size(count, n, r + 2);
            const std::int64_t expected_received =
                2 * count - chunk_size(count, n, r) - chunk_size(count, n, r + 1);
            ASSERT_EQ(sent_by(list).value, expected_sent);
            ASSERT_EQ(received_by(list).value, expected_received);
            for (const Step& s : list) {
                ASSERT_GT(s.count, 0);
                ASSERT_LE(s.count, segment);
                ASSERT_EQ(s.to, sends(s.verb) ? (r + 1) % n : -1);
                ASSERT_EQ(s.from, receives(s.verb) ? (r + n - 1) % n : -1);
            }
        }
    }
}

void check_ring_stages(int n) {
    if (n == 1) return;
    const std::int64_t count = 1009;
    for (int r = 0; r < n; ++r) {
        // By verb and chunk: what each stage moves.
        std::map<std::pair<Verb, int>, std::int64_t> moved;
        for (const Step& s : ring_all_reduce(n, r, count, segment)) {
            int chunk = 0;
            while (even_piece(count, n, chunk).end <= s.offset) ++chunk;
            ASSERT_LE(s.offset + s.count, even_piece(count, n, chunk).end);
            moved[{s.verb, chunk}] += s.count;
        }
        for (int stage = 0; stage <= 2 * n - 2; ++stage) {
            const int chunk = (r - stage + 2 * n) % n;
            const Verb verb = stage == 0          ? Verb::send
                              : stage < n - 1     ? Verb::recv_reduce_send
                              : stage == n - 1    ? Verb::recv_reduce_copy_send
                              : stage < 2 * n - 2 ? Verb::recv_copy_send
                                                  : Verb::recv;
            ASSERT_EQ((moved[{verb, chunk}]), chunk_size(count, n, chunk))
                << "rank " << r << " stage " << stage;
            moved.erase({verb, chunk});
        }
        ASSERT_TRUE(moved.empty());
    }
}

/// Elements that the member with number `me` holds after each halving.
std::vector<std::int64_t> held_sizes(std::int64_t count, int core, int me) {
    std::vector<std::int64_t> sizes{count};
    for (int bit = 1; bit < core; bit *= 2) {
        const std::int64_t now = sizes.back();
        sizes.push_back((me & bit) == 0 ? now / 2 : now - now / 2);
    }
    return sizes;
}

void check_halving_sums_and_bytes(int n) {
    const int core = static_cast<int>(std::bit_floor(static_cast<unsigned>(n)));
    const int extra = n - core;
    for (const std::int64_t count : counts) {
        const SimulatedWorld world =
            run_world(n, count, [&](int r) { return halving_doubling_all_reduce(n, r, count, segment); });
        ASSERT_TRUE(world.result.ok()) << n << " ranks, " << count << ": " << world.result.problem;
        for (int r = 0; r < n; ++r) {
            const StepList& list = world.lists[static_cast<std::size_t>(r)];
            ASSERT_EQ(world.data[static_cast<std::size_t>(r)], exact_sums(n, count)) << "rank " << r;
            const bool paired = r < 2 * extra;
            if (paired && r % 2 == 1) {
                ASSERT_EQ(sent_by(list).value, count);
                ASSERT_EQ(received_by(list).value, count);
                continue;
            }
            const std::int64_t folded = paired ? count : 0;
            const auto held = held_sizes(count, core, paired ? r / 2 : r - extra);
            std::int64_t kept = 0;
            for (std::size_t k = 1; k < held.size(); ++k) kept += held[k];
            const std::int64_t given = count - held.back();
            ASSERT_EQ(sent_by(list).value, given + kept + folded);
            ASSERT_EQ(received_by(list).value, kept + given + folded);
            if (count % core == 0) {
                ASSERT_EQ(sent_by(list).value - folded, 2 * count * (core - 1) / core);
            }
        }
    }
}

void check_halving_exchanges(int n) {
    const std::int64_t count = 1009;
    if (std::popcount(static_cast<unsigned>(n)) != 1) return;
    for (int r = 0; r < n; ++r) {
        std::map<int, std::int64_t> reduced;  // partner -> elements
        std::map<int, std::int64_t> copied;
        for (const Step& s : halving_doubling_all_reduce(n, r, count, segment)) {
            if (s.verb == Verb::recv_reduce) reduced[s.from] += s.count;
            if (s.verb == Verb::recv) copied[s.from] += s.count;
        }
        const auto held = held_sizes(count, n, r);
        std::size_t stage = 0;
        for (int bit = 1; bit < n; bit *= 2, ++stage) {
            EXPECT_EQ(reduced[r ^ bit], held[stage + 1]);
            EXPECT_EQ(copied[r ^ bit], held[stage] - held[stage + 1]);
            EXPECT_NEAR(static_cast<double>(held[stage + 1]), 1009.0 / (2.0 * bit), 1.0);
        }
        ASSERT_EQ(reduced.size(), stage);
    }
}

/// Eight world sizes a case, so that ctest starts few processes.
class AllReduceLists : public ::testing::TestWithParam<int> {
  public:
    static void for_each_size(void (*check)(int)) {
        for (int n = GetParam(); n < GetParam() + 8; ++n) {
            ASSERT_NO_FATAL_FAILURE(check(n)) << n << " ranks";
        }
    }
};

TEST_P(AllReduceLists, RingSumsAndBytes) { for_each_size(check_ring_sums_and_bytes); }
TEST_P(AllReduceLists, RingStagesMoveTheirChunk) { for_each_size(check_ring_stages); }
TEST_P(AllReduceLists, HalvingDoublingSumsAndBytes) { for_each_size(check_halving_sums_and_bytes); }
TEST_P(AllReduceLists, HalvingExchangesHalveTheRange) { for_each_size(check_halving_exchanges); }
INSTANTIATE_TEST_SUITE_P(SizesFrom, AllReduceLists, ::testing::Values(1, 9, 17, 25, 33, 41, 49, 57));

TEST(RingList, KeepsTwoSegmentsOfAChunkUnderWay) {
    // Chunks of four segments: a rank sends segments ahead before it first waits for one.
    const StepList list = ring_all_reduce(2, 0, 2 * 4 * segment, segment);
    std::size_t ahead = 0;
    while (list[ahead].verb == Verb::send) ++ahead;
    EXPECT_GE(ahead, 2U);
    // Even a chunk that fits one segment is cut in two once it is large enough to be worth it.
    EXPECT_EQ(segments_of(segment, segment), 2);
    EXPECT_EQ(segments_of(segment / 4, segment), 1);
    EXPECT_EQ(segments_of(0, segment), 0);
    EXPECT_EQ(segments_of(5 * segment + 1, segment), 6);
}

TEST(RingList, PrintsAsStableText) {
    EXPECT_EQ(str(ring_all_reduce(3, 0, 3, 8)),
              "send [0, 1) to 1\n"
              "recv_reduce_send [2, 3) from 2 to 1\n"
              "recv_reduce_copy_send [1, 2) from 2 to 1\n"
              "recv_copy_send [0, 1) from 2 to 1\n"
              "recv [2, 3) from 2\n");
}

}  // namespace
}  // namespace trireme::comm
