// The GPU as a device: memory, copies, streams and events.
#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/error.hpp"
#include "tests/gpu/gpu_fixture.hpp"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class GpuDevice : public testing::Test {
  protected:
    void SetUp() override {
        if (const std::string reason = gpu::why_skip(); !reason.empty()) GTEST_SKIP() << reason;
        device_ = std::make_unique<CudaDevice>(0);
    }
    std::unique_ptr<CudaDevice> device_;
};

bool all_are(std::span<const std::int32_t> numbers, std::int32_t value) {
    return std::ranges::all_of(numbers, [&](std::int32_t number) { return number == value; });
}

std::span<std::int32_t> numbers(const Region& region) {
    return {reinterpret_cast<std::int32_t*>(region.data()), region.bytes().size() / sizeof(std::int32_t)};
}

constexpr Bytes some(std::int64_t{8} << 20);

TEST_F(GpuDevice, TellsWhatItIs) {
    EXPECT_EQ(device_->kind(), "cuda");
    EXPECT_THAT(device_->identity(), StartsWith("GPU-"));
    EXPECT_EQ(device_->identity(), CudaDevice(0).identity());
    EXPECT_GE(device_->sm(), 80);
    EXPECT_THAT(device_->describe(), HasSubstr("sm_"));
    fmt::print("GPU: {}\n", device_->describe());  // run_all.py reads it
}

TEST_F(GpuDevice, MemoryIsZeroedAndCopiesComeBack) {
    const Region there(device_->memory(), some);
    const Region out(device_->staging(), some);
    const Region back(device_->staging(), some);
    const auto stream = device_->make_stream();
    std::memset(back.data(), 1, back.bytes().size());
    stream->copy(back.data(), there.data(), some);
    stream->synchronize();
    EXPECT_TRUE(all_are(numbers(back), 0));
    for (std::size_t i = 0; i < numbers(out).size(); ++i) numbers(out)[i] = static_cast<std::int32_t>(i);
    stream->copy(there.data(), out.data(), some);
    stream->copy(back.data(), there.data(), some);
    stream->synchronize();
    EXPECT_EQ(std::memcmp(out.data(), back.data(), out.bytes().size()), 0);
}

TEST_F(GpuDevice, EventsOrderStreams) {
    const Region there(device_->memory(), some);
    const Region out(device_->staging(), some);
    const Region back(device_->staging(), some);
    const auto up = device_->make_stream();
    const auto down = device_->make_stream();
    const auto sent = device_->make_event();
    for (std::int32_t round = 1; round <= 20; ++round) {
        for (std::int32_t& number : numbers(out)) number = round;
        up->copy(there.data(), out.data(), some);
        up->record(*sent);
        down->wait(*sent);
        down->copy(back.data(), there.data(), some);
        down->synchronize();
        EXPECT_TRUE(sent->done());
        EXPECT_TRUE(all_are(numbers(back), round));
    }
}

/// The host waits for an event, and for nothing behind it.
TEST_F(GpuDevice, TheHostWaitsForAnEvent) {
    const Region there(device_->memory(), some);
    const Region out(device_->staging(), some);
    const Region back(device_->staging(), some);
    const auto stream = device_->make_stream();
    const auto arrived = device_->make_event();
    for (std::int32_t round = 1; round <= 20; ++round) {
        for (std::int32_t& number : numbers(out)) number = round;
        stream->copy(there.data(), out.data(), some);
        stream->copy(back.data(), there.data(), some);
        stream->record(*arrived);
        arrived->synchronize();
        EXPECT_TRUE(all_are(numbers(back), round));
    }
}

/// One stream's copies, captured once and replayed, between those of two others: in every launch the graph
/// waits for what was recorded in front of it, and what waits for its event finds what it wrote.
TEST_F(GpuDevice, GraphsAreJoinedByEvents) {
    const Region first(device_->memory(), some);
    const Region second(device_->memory(), some);
    const Region out(device_->staging(), some);
    const Region back(device_->staging(), some);
    const auto up = device_->make_stream();
    const auto middle = device_->make_stream();
    const auto down = device_->make_stream();
    const auto sent = device_->make_event();
    const auto moved = device_->make_event();
    up->record(*sent);
    middle->begin_capture();
    middle->wait(*sent);
    middle->copy(second.data(), first.data(), some);
    middle->record(*moved);
    const auto graph = middle->end_capture();
    for (std::int32_t round = 1; round <= 20; ++round) {
        for (std::int32_t& number : numbers(out)) number = round;
        up->copy(first.data(), out.data(), some);
        up->record(*sent);
        middle->launch(*graph);
        down->wait(*moved);
        down->copy(back.data(), second.data(), some);
        down->synchronize();
        EXPECT_TRUE(all_are(numbers(back), round));
    }
}

/// Also those that were recorded in a graph, by its last launch.
TEST_F(GpuDevice, TimedEventsTellWhatIsBetweenThem) {
    const Region first(device_->memory(), some);
    const Region second(device_->memory(), some);
    const auto stream = device_->make_stream();
    const auto begin = device_->make_timed_event();
    const auto end = device_->make_timed_event();
    const auto copies = [&] {
        stream->record(*begin);
        for (int i = 0; i < 10; ++i) stream->copy(second.data(), first.data(), some);
        stream->record(*end);
    };
    const auto expect_time = [&](const auto& launch) {
        const auto before = std::chrono::steady_clock::now();
        launch();
        stream->synchronize();
        const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - before;
        const double seconds = end->seconds_since(*begin);
        EXPECT_GT(seconds, 0);
        EXPECT_LT(seconds, passed.count());
    };
    expect_time(copies);
    stream->begin_capture();
    copies();
    const auto graph = stream->end_capture();
    for (int i = 0; i < 3; ++i) expect_time([&] { stream->launch(*graph); });
}

TEST_F(GpuDevice, AnEventThatNobodyRecordedIsAMistake) {
    const auto stream = device_->make_stream();
    const auto event = device_->make_event();
    EXPECT_THROW(stream->wait(*event), InternalError);
    EXPECT_THROW((void)event->done(), InternalError);
    EXPECT_THROW(event->synchronize(), InternalError);
}

TEST_F(GpuDevice, HostMemoryOfOthersCanBePinned) {
    std::vector<std::byte> memory(std::size_t{1} << 20, std::byte{7});
    const Bytes size(static_cast<std::int64_t>(memory.size()));
    device_->pin(memory.data(), size);
    const Region there(device_->memory(), size);
    const auto stream = device_->make_stream();
    stream->copy(there.data(), memory.data(), size);
    stream->synchronize();
    device_->unpin(memory.data());
}

TEST_F(GpuDevice, WhatItHasNotIsToldWithThePlansFigure) {
    device_->expect_memory(Bytes(std::int64_t{3} << 50));
    try {
        (void)device_->memory().allocate(Bytes(std::int64_t{1} << 50));
        FAIL() << "no GPU has a pebibyte";
    } catch (const DeviceError& e) {
        EXPECT_THAT(e.what(), AllOf(HasSubstr("GPU 0"), HasSubstr("1024.0 TiB"), HasSubstr("are free"),
                                    HasSubstr("the plan needs 3072.0 TiB")));
    }
    const Region small(device_->memory(), some);  // the failure has left nothing behind
}

}  // namespace
}  // namespace trireme
