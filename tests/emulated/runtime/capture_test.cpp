// What may be captured, what ends a capture, and what a graph does when it is launched.
#include <thread>

#include <gmock/gmock.h>

#include "tests/emulated/runtime/test_support.hpp"

namespace trireme::emulated {
namespace {

using ::testing::Contains;
using ::testing::Each;

constexpr auto global = cudaStreamCaptureModeGlobal;
constexpr auto of_thread = cudaStreamCaptureModeThreadLocal;
constexpr auto relaxed = cudaStreamCaptureModeRelaxed;

cudaGraphExec_t executable(cudaGraph_t graph) {
    cudaGraphExec_t made = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&made, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return made;
}

/// Ends a capture that an error has ended already.
void expect_lost(cudaStream_t stream) {
    cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
    EXPECT_EQ(cudaStreamIsCapturing(stream, &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    int ignored = 0;
    EXPECT_EQ(count_up(stream, &ignored), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
}

void expect_whole(cudaStream_t stream) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}

/// Each of these is a call that CUDA counts as unsafe during a capture.
std::vector<std::function<cudaError_t()>> unsafe_calls() {
    static void* memory = nullptr;
    static cudaEvent_t event = new_event();
    static cudaStream_t other = new_stream();
    static char host[64];
    return {
        [] { return cudaMalloc(&memory, 8); },
        [] { return cudaMallocManaged(&memory, 8); },
        [] { return cudaFree(nullptr); },
        [] { return cudaHostAlloc(&memory, 8, 0); },
        [] { return cudaFreeHost(nullptr); },
        [] { return cudaHostRegister(host, sizeof host, 0); },
        [] { return cudaStreamSynchronize(other); },
        [] { return cudaStreamQuery(other); },
        [] { return cudaEventQuery(event); },
        [] { return cudaEventSynchronize(event); },
        [] { return cudaMemset(host, 0, 0); },
        [] { return cudaMemcpy(host, host + 8, 0, cudaMemcpyDefault); },
    };
}

TEST(EmulatedCaptures, AreEndedByUnsafeCallsOfTheirThread) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        for (const auto& unsafe : unsafe_calls()) {
            for (const auto mode : {global, of_thread}) {
                EXPECT_EQ(cudaStreamBeginCapture(stream, mode), cudaSuccess);
                EXPECT_EQ(unsafe(), cudaErrorStreamCaptureUnsupported);
                expect_lost(stream);
            }
            EXPECT_EQ(cudaStreamBeginCapture(stream, relaxed), cudaSuccess);
            EXPECT_EQ(unsafe(), cudaSuccess);
            if (unsafe() == cudaErrorHostMemoryAlreadyRegistered) static_cast<void>(cudaGetLastError());
            expect_whole(stream);
        }
    });
}

TEST(EmulatedCaptures, OfAllThreadsAreEndedByUnsafeCallsOfOthers) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        const auto elsewhere = [](cudaStreamCaptureMode mode) {
            cudaError_t status = cudaSuccess;
            std::thread([&] {
                EXPECT_EQ(cudaThreadExchangeStreamCaptureMode(&mode), cudaSuccess);
                EXPECT_EQ(mode, global);
                status = cudaFree(nullptr);
            }).join();
            return status;
        };
        EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
        EXPECT_EQ(elsewhere(of_thread), cudaSuccess);
        EXPECT_EQ(elsewhere(relaxed), cudaSuccess);
        EXPECT_EQ(elsewhere(global), cudaErrorStreamCaptureUnsupported);
        expect_lost(stream);
        EXPECT_EQ(cudaStreamBeginCapture(stream, of_thread), cudaSuccess);
        EXPECT_EQ(elsewhere(global), cudaSuccess);
        expect_whole(stream);
    });
}

TEST(EmulatedCaptures, AreEndedByWhatAsksForTheirWork) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        const cudaEvent_t event = new_event();
        const std::vector<std::pair<std::function<cudaError_t()>, cudaError_t>> calls{
            {[&] { return cudaStreamSynchronize(stream); }, cudaErrorStreamCaptureUnsupported},
            {[&] { return cudaStreamQuery(stream); }, cudaErrorStreamCaptureUnsupported},
            {[&] { return cudaDeviceSynchronize(); }, cudaErrorStreamCaptureUnsupported},
            {[&] { return cudaEventQuery(event); }, cudaErrorCapturedEvent},
            {[&] { return cudaEventSynchronize(event); }, cudaErrorCapturedEvent},
        };
        for (const auto& [ask, expected] : calls) {
            EXPECT_EQ(cudaStreamBeginCapture(stream, relaxed), cudaSuccess);
            EXPECT_EQ(cudaEventRecord(event, stream), cudaSuccess);
            EXPECT_EQ(ask(), expected);
            expect_lost(stream);
        }
    });
}

TEST(EmulatedCaptures, EndWhereAndInTheThreadInWhichTheyBegan) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        const cudaStream_t other = new_stream();
        const cudaEvent_t fork = new_event();
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
        EXPECT_EQ(cudaStreamBeginCapture(nullptr, global), cudaErrorStreamCaptureUnsupported);
        EXPECT_EQ(cudaStreamBeginCapture(stream, of_thread), cudaSuccess);
        EXPECT_EQ(cudaStreamBeginCapture(stream, of_thread), cudaErrorIllegalState);
        EXPECT_EQ(cudaEventRecord(fork, stream), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(other, fork, 0), cudaSuccess);
        EXPECT_EQ(cudaStreamEndCapture(other, &graph), cudaErrorStreamCaptureUnmatched);
        std::thread([&] {
            EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureWrongThread);
        }).join();
        expect_whole(stream);
        EXPECT_EQ(cudaStreamSynchronize(other), cudaSuccess);  // it is out of the capture, too
        EXPECT_EQ(cudaStreamBeginCapture(stream, relaxed), cudaSuccess);
        std::thread([&] { expect_whole(stream); }).join();
    });
}

TEST(EmulatedCaptures, OfSeveralStreamsMustBeJoined) {
    in_child([] {
        int done = 0;
        const cudaStream_t stream = new_stream();
        const cudaStream_t other = new_stream();
        const cudaEvent_t fork = new_event();
        const cudaEvent_t join = new_event();
        cudaGraph_t graph = nullptr;
        for (const bool joins : {false, true}) {
            EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
            EXPECT_EQ(cudaEventRecord(fork, stream), cudaSuccess);
            EXPECT_EQ(cudaStreamWaitEvent(other, fork, 0), cudaSuccess);
            EXPECT_EQ(count_up(other, &done), cudaSuccess);
            EXPECT_EQ(cudaEventRecord(join, other), cudaSuccess);
            if (joins) {
                EXPECT_EQ(cudaStreamWaitEvent(stream, join, 0), cudaSuccess);
            }
            EXPECT_EQ(cudaStreamEndCapture(stream, &graph),
                      joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined);
        }
        EXPECT_EQ(done, 0);
        EXPECT_EQ(cudaGraphLaunch(executable(graph), stream), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(done, 1);
        // The events of a capture are of no use outside of it.
        EXPECT_EQ(cudaStreamWaitEvent(other, join, 0), cudaErrorCapturedEvent);
        EXPECT_EQ(cudaEventQuery(join), cudaErrorCapturedEvent);
    });
}

TEST(EmulatedCaptures, AreIsolatedFromWhatRuns) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        const cudaStream_t second = new_stream();
        const cudaEvent_t outside = new_event();
        const cudaEvent_t inside = new_event();
        EXPECT_EQ(cudaEventRecordWithFlags(outside, stream, cudaEventRecordExternal), cudaErrorInvalidValue);
        EXPECT_EQ(cudaStreamWaitEvent(stream, outside, cudaEventWaitExternal), cudaErrorInvalidValue);
        EXPECT_EQ(cudaEventRecord(outside, second), cudaSuccess);
        EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(stream, outside, 0), cudaErrorStreamCaptureIsolation);
        expect_lost(stream);
        EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
        EXPECT_EQ(cudaStreamBeginCapture(second, relaxed), cudaSuccess);
        EXPECT_EQ(cudaEventRecord(inside, second), cudaSuccess);
        EXPECT_EQ(cudaStreamWaitEvent(stream, inside, 0), cudaErrorStreamCaptureMerge);
        expect_lost(stream);
        expect_lost(second);
        cudaStream_t blocking = nullptr;
        EXPECT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
        EXPECT_EQ(cudaStreamBeginCapture(blocking, relaxed), cudaSuccess);
        cudaStreamCaptureStatus status{};
        EXPECT_EQ(cudaStreamIsCapturing(nullptr, &status), cudaErrorStreamCaptureImplicit);
        EXPECT_EQ(cudaEventRecord(outside, nullptr), cudaErrorStreamCaptureImplicit);
        expect_lost(blocking);
    });
}

TEST(EmulatedGraphs, RunAgainAndAgain) {
    in_child([] {
        int done = 0;
        const cudaStream_t stream = new_stream();
        EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
        for (int i = 0; i < 10; ++i) count_up(stream, &done);
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
        const cudaGraphExec_t executed = executable(graph);
        EXPECT_EQ(cudaGraphUpload(executed, stream), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(done, 0);
        for (int i = 0; i < 20; ++i)
            EXPECT_EQ(cudaGraphLaunch(executed, i % 2 == 0 ? stream : new_stream()), cudaSuccess);
        EXPECT_EQ(cudaGraphExecDestroy(executed), cudaSuccess);  // what was launched goes on
        EXPECT_EQ(cudaGraphLaunch(executed, stream), cudaErrorInvalidValue);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(done, 200);
    });
}

/// A graph copies what another stream has set before each launch, and a third takes what the graph has
/// copied.
struct Relay {
    cudaStream_t sets = new_stream();
    cudaStream_t moves = new_stream();
    cudaStream_t takes = new_stream();
    cudaEvent_t set = new_event();
    cudaEvent_t moved = new_event();
    unsigned char* first = on_device<unsigned char>(1);
    unsigned char* second = on_device<unsigned char>(1);
    unsigned char* back = page_locked<unsigned char>(1);

    cudaGraphExec_t capture(bool waits) {
        EXPECT_EQ(cudaStreamBeginCapture(moves, of_thread), cudaSuccess);
        if (waits) {
            EXPECT_EQ(cudaStreamWaitEvent(moves, set, cudaEventWaitExternal), cudaSuccess);
        }
        EXPECT_EQ(cudaMemcpyAsync(second, first, 1, cudaMemcpyDefault, moves), cudaSuccess);
        EXPECT_EQ(cudaEventRecordWithFlags(moved, moves, cudaEventRecordExternal), cudaSuccess);
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(moves, &graph), cudaSuccess);
        return executable(graph);
    }
    /// What arrives of `round`.
    int send(cudaGraphExec_t graph, int round, bool waits) {
        cudaMemsetAsync(first, round, 1, sets);
        cudaEventRecord(set, sets);
        EXPECT_EQ(cudaGraphLaunch(graph, moves), cudaSuccess);
        if (waits) cudaStreamWaitEvent(takes, moved, 0);
        cudaMemcpyAsync(back, second, 1, cudaMemcpyDefault, takes);
        cudaStreamSynchronize(takes);
        return *back;
    }
};

/// True where all of eight rounds came through.
bool relayed(bool graph_waits, bool taker_waits) {
    Relay relay;
    const cudaGraphExec_t graph = relay.capture(graph_waits);
    EXPECT_EQ(cudaEventQuery(relay.moved), cudaSuccess);  // a capture records nothing
    bool right = true;
    for (int round = 1; round <= 8; ++round) right = relay.send(graph, round, taker_waits) == round && right;
    return right && !testing::Test::HasFailure();
}

TEST(EmulatedGraphs, RecordAndWaitAtEachLaunch) {
    EXPECT_THAT(under_seeds(20, [] { return relayed(true, true) ? 0 : 1; }), Each(0));
    EXPECT_THAT(under_seeds(20, [] { return relayed(false, true) ? 0 : 1; }), Contains(1));
    EXPECT_THAT(under_seeds(20, [] { return relayed(true, false) ? 0 : 1; }), Contains(1));
}

/// Branches of a graph are not in the order of their capture.
TEST(EmulatedGraphs, BranchesRunInAnyOrder) {
    const auto branches = [](bool joined_first) {
        auto* there = on_device<unsigned char>(1);
        auto* back = page_locked<unsigned char>(1);
        const cudaStream_t stream = new_stream();
        const cudaStream_t other = new_stream();
        const cudaEvent_t fork = new_event();
        const cudaEvent_t join = new_event();
        cudaStreamBeginCapture(stream, global);
        cudaEventRecord(fork, stream);
        cudaStreamWaitEvent(other, fork, 0);
        cudaMemsetAsync(there, 7, 1, other);
        cudaEventRecord(join, other);
        if (joined_first) cudaStreamWaitEvent(stream, join, 0);
        cudaMemcpyAsync(back, there, 1, cudaMemcpyDefault, stream);
        if (!joined_first) cudaStreamWaitEvent(stream, join, 0);
        cudaGraph_t graph = nullptr;
        cudaStreamEndCapture(stream, &graph);
        cudaGraphLaunch(executable(graph), stream);
        cudaStreamSynchronize(stream);
        return static_cast<int>(*back);
    };
    EXPECT_THAT(under_seeds(30, [&] { return branches(true); }), Each(7));
    const std::vector<int> loose = under_seeds(30, [&] { return branches(false); });
    EXPECT_THAT(loose, Contains(7));
    EXPECT_THAT(loose, Contains(0xff));
}

TEST(EmulatedGraphs, NeedTheirEventsAndMemory) {
    in_child([] {
        Relay relay;
        const cudaGraphExec_t graph = relay.capture(true);
        EXPECT_EQ(cudaFree(relay.second), cudaSuccess);
        EXPECT_EQ(cudaEventDestroy(relay.set), cudaSuccess);
        EXPECT_EQ(cudaGraphLaunch(graph, relay.moves), cudaErrorInvalidValue);
    });
    in_child([] {
        Relay relay;
        const cudaGraphExec_t graph = relay.capture(false);
        EXPECT_EQ(cudaFree(relay.second), cudaSuccess);
        EXPECT_EQ(cudaGraphLaunch(graph, relay.moves), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(relay.moves), cudaErrorIllegalAddress);
        EXPECT_EQ(cudaSetDevice(0), cudaErrorIllegalAddress);  // nothing works any more
    });
}

TEST(EmulatedGraphs, KeepUserObjects) {
    in_child([] {
        static std::atomic<int> released = 0;
        const cudaStream_t stream = new_stream();
        int done = 0;
        cudaUserObject_t object = nullptr;
        EXPECT_EQ(cudaUserObjectCreate(
                      &object, nullptr, [](void*) { ++released; }, 1, cudaUserObjectNoDestructorSync),
                  cudaSuccess);
        EXPECT_EQ(cudaStreamBeginCapture(stream, global), cudaSuccess);
        count_up(stream, &done);
        cudaStreamCaptureStatus status{};
        cudaGraph_t capturing = nullptr;
        EXPECT_EQ(cudaStreamGetCaptureInfo(stream, &status, nullptr, &capturing), cudaSuccess);
        EXPECT_EQ(cudaGraphRetainUserObject(capturing, object, 1, 0), cudaSuccess);
        EXPECT_EQ(cudaUserObjectRelease(object, 1), cudaSuccess);
        cudaGraph_t graph = nullptr;
        EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
        EXPECT_EQ(graph, capturing);
        const cudaGraphExec_t executed = executable(graph);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(released, 0);
        EXPECT_EQ(cudaGraphLaunch(executed, stream), cudaSuccess);
        EXPECT_EQ(cudaGraphExecDestroy(executed), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(done, 1);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        EXPECT_EQ(released, 1);
    });
}

}  // namespace
}  // namespace trireme::emulated
