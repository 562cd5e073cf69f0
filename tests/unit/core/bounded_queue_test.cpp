// The queue between threads: order, bound, closing, failing, deadlines; and the memory that regions own.
#include "runtime/core/bounded_queue.hpp"

#include <atomic>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "runtime/core/host_memory.hpp"

namespace trireme {
namespace {

Deadline soon() { return Deadline::in_seconds(0.01); }
Deadline late() { return Deadline::in_seconds(60); }

TEST(BoundedQueue, KeepsOrderAndDrainsAfterClosing) {
    BoundedQueue<int> queue(3);
    EXPECT_TRUE(queue.push(1));
    EXPECT_TRUE(queue.push(2));
    queue.close();
    EXPECT_FALSE(queue.push(3));
    EXPECT_EQ(queue.pop(late()), 1);
    EXPECT_EQ(queue.pop(late()), 2);
    EXPECT_EQ(queue.pop(late()), std::nullopt);
}

TEST(BoundedQueue, PopEndsAtItsDeadline) {
    BoundedQueue<int> queue(1);
    const Deadline deadline = soon();
    EXPECT_EQ(queue.pop(deadline), std::nullopt);
    EXPECT_TRUE(deadline.expired());
}

TEST(BoundedQueue, PushWaitsForRoom) {
    BoundedQueue<int> queue(1);
    ASSERT_TRUE(queue.push(0));
    std::atomic<bool> pushed = false;
    std::jthread producer([&] {
        queue.push(1);
        pushed = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_FALSE(pushed);
    EXPECT_EQ(queue.pop(late()), 0);
    EXPECT_EQ(queue.pop(late()), 1);
}

TEST(BoundedQueue, ClosingWakesAWaitingPush) {
    BoundedQueue<int> queue(1);
    ASSERT_TRUE(queue.push(0));
    std::atomic<bool> accepted = true;
    std::jthread producer([&] { accepted = queue.push(1); });
    queue.close();
    producer.join();
    EXPECT_FALSE(accepted);
}

TEST(BoundedQueue, ClosingWakesAWaitingPop) {
    BoundedQueue<int> queue(1);
    std::optional<int> got = 1;
    std::jthread consumer([&] { got = queue.pop(late()); });
    queue.close();
    consumer.join();
    EXPECT_EQ(got, std::nullopt);
}

TEST(BoundedQueue, FailReachesTheConsumerBehindTheItems) {
    BoundedQueue<int> queue(2);
    queue.push(1);
    queue.fail(std::make_exception_ptr(DataError("block 3 is damaged")));
    EXPECT_EQ(queue.pop(late()), 1);
    EXPECT_THROW(queue.pop(late()), DataError);
    EXPECT_THROW(queue.pop(late()), DataError);
}

TEST(BoundedQueue, FailWakesAWaitingPop) {
    BoundedQueue<int> queue(1);
    std::atomic<bool> thrown = false;
    std::jthread consumer([&] {
        try {
            queue.pop(late());
        } catch (const DataError&) {
            thrown = true;
        }
    });
    queue.fail(std::make_exception_ptr(DataError("lost")));
    consumer.join();
    EXPECT_TRUE(thrown);
}

TEST(BoundedQueue, ManyThreadsLoseAndRepeatNothing) {
    constexpr int producers = 4;
    constexpr int consumers = 3;
    constexpr int each = 500;
    BoundedQueue<std::unique_ptr<int>> queue(5);
    std::vector<std::atomic<int>> seen(producers * each);
    {
        std::latch done(producers);
        std::vector<std::jthread> threads;
        for (int c = 0; c < consumers; ++c) {
            threads.emplace_back([&] {
                while (auto item = queue.pop(late())) ++seen[static_cast<std::size_t>(**item)];
            });
        }
        for (int p = 0; p < producers; ++p) {
            threads.emplace_back([&, p] {
                for (int i = 0; i < each; ++i) queue.push(std::make_unique<int>(p * each + i));
                done.count_down();
            });
        }
        done.wait();
        queue.close();
    }
    for (const auto& count : seen) EXPECT_EQ(count, 1);
}

TEST(HostMemory, IsZeroedAlignedAndOwnedOnce) {
    HostMemory memory;
    EXPECT_EQ(memory.kind(), MemoryKind::host);
    Region region(memory, Bytes(10000));
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(region.data()) % 64, 0u);
    for (std::byte b : region.bytes()) ASSERT_EQ(b, std::byte{0});
    region.bytes()[9999] = std::byte{7};
    Region moved = std::move(region);
    EXPECT_EQ(moved.size(), Bytes(10000));
    EXPECT_EQ(moved.bytes()[9999], std::byte{7});
    Region empty(memory, Bytes(0));
    EXPECT_EQ(empty.bytes().size(), 0u);
}

TEST(HostMemory, SaysHowMuchItCouldNotGive) {
    HostMemory memory;
    try {
        static_cast<void>(memory.allocate(Bytes(std::int64_t{1} << 60)));
        FAIL() << "memory of 2^60 bytes was given";
    } catch (const DeviceError& error) {
        EXPECT_NE(std::string(error.what()).find("1048576.0 TiB"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace trireme
