// Tests of the emulated runtime: each body runs in a process of its own, with its own knobs, since a runtime
// reads them once.
#pragma once

#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" void __cudaRegisterFunction(void** handle, const char* host, char* device, const char* name,
                                       int threads, uint3* thread, uint3* block, dim3* block_extents,
                                       dim3* grid_extents, int* warp);

namespace trireme::emulated {

/// As the code that nvcc makes does it.
inline void register_kernel(const void* host, const char* name) {
    __cudaRegisterFunction(nullptr, static_cast<const char*>(host), nullptr, name, -1, nullptr, nullptr,
                           nullptr, nullptr, nullptr);
}

using Knobs = std::map<std::string, std::string>;

/// What waitpid tells of a child that runs `body`; its exit code is 1 where an expectation failed.
inline int status_of_child(const Knobs& knobs, const std::function<void()>& body) {
    const pid_t child = ::fork();
    if (child == 0) {
        ::unsetenv("CUDA_VISIBLE_DEVICES");
        for (const auto& [name, value] : knobs) ::setenv(name.c_str(), value.c_str(), 1);
        body();
        ::_exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

inline void in_child(const std::function<void()>& body, const Knobs& knobs = {}) {
    EXPECT_EQ(status_of_child(knobs, body), 0) << "the child's own words are above";
}

/// An exit code that the body chose, for each of many seeds.
inline std::vector<int> under_seeds(int seeds, const std::function<int()>& body) {
    std::vector<int> codes;
    for (int seed = 1; seed <= seeds; ++seed) {
        const int status =
            status_of_child({{"TRIREME_EMULATED_SEED", std::to_string(seed)}}, [&body] { ::_exit(body()); });
        codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    }
    return codes;
}

inline cudaStream_t new_stream() {
    cudaStream_t stream = nullptr;
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
    return stream;
}

inline cudaEvent_t new_event(unsigned flags = cudaEventDisableTiming) {
    cudaEvent_t event = nullptr;
    EXPECT_EQ(cudaEventCreateWithFlags(&event, flags), cudaSuccess);
    return event;
}

template <class T>
T* on_device(std::size_t count) {
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, count * sizeof(T)), cudaSuccess);
    return static_cast<T*>(memory);
}

template <class T>
T* page_locked(std::size_t count) {
    void* memory = nullptr;
    EXPECT_EQ(cudaHostAlloc(&memory, count * sizeof(T), cudaHostAllocPortable), cudaSuccess);
    return static_cast<T*>(memory);
}

/// Adds one to an int of the host when the stream gets there.
inline cudaError_t count_up(cudaStream_t stream, int* number) {
    return cudaLaunchHostFunc(
        stream, [](void* at) { ++*static_cast<int*>(at); }, number);
}

}  // namespace trireme::emulated
