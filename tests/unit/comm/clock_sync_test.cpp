// Clocks that are set apart on purpose are found again, within the error that each rank states of itself.
#include "comm/clock_sync.hpp"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace trireme::comm {
namespace {

using std::chrono::nanoseconds;

TEST(ClockSyncTest, TheQuickestRoundTells) {
    // My clock is 1000 behind. The first answer took long on its way back; the second was quick both ways.
    const std::vector<ClockRound> rounds{{nanoseconds(0), nanoseconds(1010), nanoseconds(500)},
                                         {nanoseconds(600), nanoseconds(1612), nanoseconds(620)},
                                         {nanoseconds(700), nanoseconds(1790), nanoseconds(800)}};
    const ClockOffset found = offset_of(rounds);
    EXPECT_EQ(found.offset, nanoseconds(1002));
    EXPECT_EQ(found.error, nanoseconds(10));
}

TEST(ClockSyncTest, InjectedOffsetsAreFoundWithinTheStatedError) {
    const std::vector<nanoseconds> ahead{nanoseconds(0), std::chrono::seconds(3600),
                                         -std::chrono::hours(24 * 365), std::chrono::microseconds(250),
                                         nanoseconds(-1)};
    auto world = in_process_world(static_cast<int>(ahead.size()), CommOptions{});
    std::vector<ClockOffset> found(ahead.size());
    std::vector<std::thread> threads;
    for (std::size_t rank = 0; rank < ahead.size(); ++rank) {
        threads.emplace_back([&, rank] {
            const auto clock = [&, rank] { return read_steady_clock() + ahead[rank]; };
            found[rank] = align_clock(*world[rank], Deadline::in_seconds(60), clock);
            world[rank]->finish(Deadline::in_seconds(60));
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(found[0].offset, nanoseconds(0));
    for (std::size_t rank = 1; rank < ahead.size(); ++rank) {
        EXPECT_LE(std::chrono::abs(found[rank].offset + ahead[rank]), found[rank].error) << "rank " << rank;
        EXPECT_LT(found[rank].error, std::chrono::seconds(5)) << "an error that says nothing";
    }
}

}  // namespace
}  // namespace trireme::comm
