// Devices, streams and events of the emulated runtime.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>

#include <gmock/gmock.h>

#include "tests/emulated/runtime/test_support.hpp"

namespace trireme::emulated {
namespace {

using ::testing::Contains;
using ::testing::Each;

TEST(EmulatedDevices, AreWhatTheKnobsSay) {
    const auto body = [] {
        int count = 0;
        EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
        EXPECT_EQ(count, 2);
        cudaDeviceProp first{};
        cudaDeviceProp second{};
        EXPECT_EQ(cudaGetDeviceProperties(&first, 0), cudaSuccess);
        EXPECT_EQ(cudaGetDeviceProperties(&second, 1), cudaSuccess);
        EXPECT_EQ(first.major, 8);
        EXPECT_EQ(first.minor, 6);
        EXPECT_EQ(first.totalGlobalMem, std::size_t{64} << 20);
        EXPECT_NE(std::memcmp(first.uuid.bytes, second.uuid.bytes, sizeof first.uuid.bytes), 0);
        int major = 0;
        EXPECT_EQ(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 1), cudaSuccess);
        EXPECT_EQ(major, 8);
        EXPECT_EQ(cudaSetDevice(2), cudaErrorInvalidDevice);
        EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
        EXPECT_EQ(cudaGetLastError(), cudaSuccess);
    };
    in_child(body, {{"TRIREME_EMULATED_DEVICES", "2"},
                    {"TRIREME_EMULATED_SM", "86"},
                    {"TRIREME_EMULATED_MEMORY_MB", "64"}});
}

TEST(EmulatedDevices, AreThoseThatAreVisible) {
    const auto expect = [](const char* visible, int expected, int first) {
        const auto body = [expected, first] {
            int count = 0;
            const cudaError_t status = cudaGetDeviceCount(&count);
            EXPECT_EQ(status, expected == 0 ? cudaErrorNoDevice : cudaSuccess);
            if (expected == 0) return;
            EXPECT_EQ(count, expected);
            cudaDeviceProp properties{};
            EXPECT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
            EXPECT_EQ(properties.uuid.bytes[15], first);
        };
        in_child(body, {{"TRIREME_EMULATED_DEVICES", "3"}, {"CUDA_VISIBLE_DEVICES", visible}});
    };
    expect("", 0, 0);
    expect("-1", 0, 0);
    expect("2,0", 2, 2);
    expect("1,-1,0", 1, 1);
    expect("0,0", 0, 0);
    expect("GPU-656d756c-6174-6564-2064-65766963652e02", 0, 0);
    expect("GPU-656d756c-6174-6564-2064-657669636502,1", 2, 2);
}

TEST(EmulatedDevices, NeedADriverThatIsNewEnough) {
    for (const char* driver : {"0", "11080"}) {
        const auto body = [driver] {
            int version = -1;
            EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
            EXPECT_EQ(version, std::atoi(driver));
            int count = -1;
            EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
            EXPECT_EQ(count, -1);
            EXPECT_STREQ(cudaGetErrorString(cudaGetLastError()),
                         "CUDA driver version is insufficient for CUDA runtime version");
        };
        in_child(body, {{"TRIREME_EMULATED_DRIVER", driver}});
    }
    const auto typo = [] { EXPECT_EQ(cudaSetDevice(0), cudaErrorInitializationError); };
    in_child(typo, {{"TRIREME_EMULATED_SM", "9.0"}});
}

/// Bytes that one stream sets are copied by another one, with or without the wait between them.
int copied_after_set(bool waits) {
    auto* there = on_device<unsigned char>(1);
    auto* back = page_locked<unsigned char>(1);
    const cudaStream_t sets = new_stream();
    const cudaStream_t copies = new_stream();
    const cudaEvent_t set = new_event();
    cudaMemsetAsync(there, 7, 1, sets);
    cudaEventRecord(set, sets);
    if (waits) cudaStreamWaitEvent(copies, set, 0);
    cudaMemcpyAsync(back, there, 1, cudaMemcpyDefault, copies);
    cudaStreamSynchronize(copies);
    return *back;
}

TEST(EmulatedStreams, AMissingWaitShowsUnderSomeSeed) {
    EXPECT_THAT(under_seeds(40, [] { return copied_after_set(true); }), Each(7));
    const std::vector<int> missing = under_seeds(40, [] { return copied_after_set(false); });
    EXPECT_THAT(missing, Contains(0xff));
    EXPECT_THAT(missing, Contains(7));
}

/// What the host reads without a synchronisation has come under some seeds, and not under others.
TEST(EmulatedStreams, AMissingSynchronisationShowsUnderSomeSeed) {
    const auto read_at_once = [] {
        auto* there = on_device<unsigned char>(1);
        cudaMemset(there, 7, 1);
        cudaDeviceSynchronize();
        auto* back = page_locked<unsigned char>(1);
        cudaMemcpyAsync(back, there, 1, cudaMemcpyDefault, new_stream());
        std::this_thread::sleep_for(std::chrono::microseconds(300));
        return static_cast<int>(*static_cast<volatile unsigned char*>(back));
    };
    const std::vector<int> seen = under_seeds(40, read_at_once);
    EXPECT_THAT(seen, Contains(0xff));
    EXPECT_THAT(seen, Contains(7));
}

TEST(EmulatedStreams, WorkOfOneStreamIsInOrder) {
    const auto body = [] {
        static std::vector<int> seen;
        const cudaStream_t stream = new_stream();
        for (std::intptr_t i = 0; i < 500; ++i) {
            const auto keep = [](void* number) {
                seen.push_back(static_cast<int>(reinterpret_cast<std::intptr_t>(number)));
            };
            EXPECT_EQ(cudaLaunchHostFunc(stream, keep, reinterpret_cast<void*>(i)), cudaSuccess);
        }
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(seen.size(), 500U);
        EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
        EXPECT_EQ(cudaStreamQuery(stream), cudaSuccess);
    };
    in_child(body);
    in_child(body, {{"TRIREME_EMULATED_SEED", "0"}});
}

/// A function that waits until the host lets it go on.
class Gate {
  public:
    void close(cudaStream_t stream) {
        open_ = false;
        EXPECT_EQ(cudaLaunchHostFunc(
                      stream,
                      [](void* gate) {
                          while (!static_cast<Gate*>(gate)->open_) std::this_thread::yield();
                      },
                      this),
                  cudaSuccess);
    }
    void open() { open_ = true; }

  private:
    std::atomic<bool> open_{true};
};

TEST(EmulatedStreams, EndWithoutWaitingForTheirWork) {
    in_child([] {
        Gate gate;
        int done = 0;
        const cudaStream_t stream = new_stream();
        const cudaEvent_t event = new_event();
        gate.close(stream);
        count_up(stream, &done);
        EXPECT_EQ(cudaEventRecord(event, stream), cudaSuccess);
        EXPECT_EQ(cudaStreamQuery(stream), cudaErrorNotReady);
        EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
        EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // an answer, and no error
        EXPECT_EQ(cudaStreamDestroy(stream), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
        gate.open();
        EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
        EXPECT_EQ(done, 1);
    });
}

TEST(EmulatedStreams, TheLegacyStreamWaitsForBlockingOnesOnly) {
    in_child([] {
        int order = 0;
        cudaStream_t blocking = nullptr;
        EXPECT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
        const cudaStream_t free = new_stream();
        Gate other;
        other.close(free);
        other.open();
        for (int round = 0; round < 50; ++round) {
            count_up(blocking, &order);
            count_up(nullptr, &order);
        }
        EXPECT_EQ(cudaStreamSynchronize(nullptr), cudaSuccess);
        EXPECT_EQ(order, 100);
        // The legacy stream comes behind the blocking one, and in front of what is launched there later.
        auto* there = on_device<unsigned char>(1);
        auto* back = page_locked<unsigned char>(1);
        cudaMemsetAsync(there, 1, 1, blocking);
        cudaMemset(there, 2, 1);
        cudaMemcpyAsync(back, there, 1, cudaMemcpyDefault, blocking);
        cudaStreamSynchronize(blocking);
        EXPECT_EQ(*back, 2);
    });
}

TEST(EmulatedStreams, FunctionsThatRunThereMayNotCallCuda) {
    in_child([] {
        static cudaError_t status = cudaSuccess;
        const cudaStream_t stream = new_stream();
        cudaLaunchHostFunc(
            stream, [](void*) { status = cudaSetDevice(0); }, nullptr);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(status, cudaErrorNotPermitted);
    });
}

TEST(EmulatedEvents, StandForNoWorkUntilTheyAreRecorded) {
    in_child([] {
        const cudaEvent_t event = new_event();
        const cudaStream_t stream = new_stream();
        EXPECT_EQ(cudaEventQuery(event), cudaSuccess);
        EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(stream, event, 0), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    });
}

TEST(EmulatedEvents, AWaitTakesTheLatestRecordOfItsTime) {
    in_child([] {
        Gate gate;
        int first = 0;
        const cudaStream_t recorder = new_stream();
        const cudaStream_t waiter = new_stream();
        const cudaEvent_t event = new_event();
        EXPECT_EQ(cudaEventRecord(event, recorder), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(waiter, event, 0), cudaSuccess);
        count_up(waiter, &first);
        EXPECT_EQ(cudaStreamSynchronize(waiter), cudaSuccess);
        gate.close(recorder);
        EXPECT_EQ(cudaEventRecord(event, recorder), cudaSuccess);  // nobody of before waits for this one
        EXPECT_EQ(cudaStreamSynchronize(waiter), cudaSuccess);
        EXPECT_EQ(first, 1);
        EXPECT_EQ(cudaEventQuery(event), cudaErrorNotReady);
        EXPECT_EQ(cudaStreamWaitEvent(waiter, event, 0), cudaSuccess);
        EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);  // the wait stays
        EXPECT_EQ(cudaStreamQuery(waiter), cudaErrorNotReady);
        EXPECT_EQ(cudaEventRecord(event, recorder), cudaErrorInvalidResourceHandle);
        gate.open();
        EXPECT_EQ(cudaStreamSynchronize(waiter), cudaSuccess);
    });
}

TEST(EmulatedEvents, KeepTimeWhereTheyWereMadeForIt) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        const cudaEvent_t begin = new_event(cudaEventDefault);
        const cudaEvent_t end = new_event(cudaEventDefault);
        const cudaEvent_t timeless = new_event();
        float milliseconds = -1;
        EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaErrorInvalidResourceHandle);
        cudaEventRecord(begin, stream);
        cudaEventRecord(timeless, stream);
        cudaLaunchHostFunc(
            stream, [](void*) { std::this_thread::sleep_for(std::chrono::milliseconds(3)); }, nullptr);
        cudaEventRecord(end, stream);
        EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, timeless), cudaErrorInvalidResourceHandle);
        cudaStreamSynchronize(stream);
        EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin, end), cudaSuccess);
        EXPECT_GE(milliseconds, 3);
    });
}

TEST(EmulatedKernels, HaveLimits) {
    in_child([] {
        int host = 0;
        const auto launch = [&host](dim3 grid, dim3 block, std::size_t shared) {
            return cudaLaunchKernel(&host, grid, block, nullptr, shared, nullptr);
        };
        EXPECT_EQ(launch({1}, {1}, 0), cudaErrorInvalidDeviceFunction);
        register_kernel(&host, "a kernel that nobody wrote");
        EXPECT_EQ(launch({1}, {1025}, 0), cudaErrorInvalidConfiguration);
        EXPECT_EQ(launch({1}, {32, 33}, 0), cudaErrorInvalidConfiguration);
        EXPECT_EQ(launch({1, 65536}, {1}, 0), cudaErrorInvalidConfiguration);
        EXPECT_EQ(launch({0}, {1}, 0), cudaErrorInvalidConfiguration);
        EXPECT_EQ(launch({1}, {1}, (48 << 10) + 1), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFuncSetAttribute(&host, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 << 10),
                  cudaSuccess);
        EXPECT_EQ(launch({1}, {1}, (48 << 10) + 1), cudaErrorInvalidDeviceFunction);
        EXPECT_EQ(launch({1}, {1024}, 0), cudaErrorInvalidDeviceFunction);
    });
}

}  // namespace
}  // namespace trireme::emulated
