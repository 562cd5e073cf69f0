// Memory of the emulated devices: what is refused, what is seen of it, and how processes share it.
#include <array>
#include <csignal>
#include <cstring>

#include <gmock/gmock.h>

#include "tests/emulated/runtime/test_support.hpp"

namespace trireme::emulated {
namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

TEST(EmulatedMemory, IsNoNumbersWhenItIsNew) {
    in_child([] {
        for (const std::size_t count : {1, 100, 5000}) {
            const auto* memory = on_device<unsigned char>(count);
            EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 256, 0U);
            for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(memory[i], 0xff);
        }
        EXPECT_EQ(*page_locked<unsigned>(1), 0xffffffffU);
    });
}

TEST(EmulatedMemory, IsFreedOnce) {
    in_child([] {
        auto* memory = on_device<char>(100);
        int foreign = 0;
        EXPECT_EQ(cudaFree(memory + 8), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFree(&foreign), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFreeHost(memory), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFree(page_locked<char>(1)), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFree(memory), cudaSuccess);
        EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
        EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
        EXPECT_NE(on_device<char>(100), memory);
    });
}

TEST(EmulatedMemory, EndsWithAPageThatNobodyTouches) {
    const auto killed = [](const std::function<void()>& body) {
        const int status = status_of_child({}, body);
        return WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS);
    };
    EXPECT_TRUE(killed([] { *static_cast<volatile char*>(on_device<char>(256) + 256) = 1; }));
    EXPECT_TRUE(killed([] {
        auto* memory = on_device<char>(mebibyte);
        cudaFree(memory);
        *static_cast<volatile char*>(memory) = 1;
    }));
}

TEST(EmulatedMemory, HasAnEnd) {
    const auto body = [] {
        std::size_t free = 0;
        std::size_t total = 0;
        EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
        EXPECT_EQ(total, 16 * mebibyte);
        EXPECT_EQ(free, total);
        auto* large = on_device<char>(9 * mebibyte);
        void* more = nullptr;
        EXPECT_EQ(cudaMalloc(&more, 8 * mebibyte), cudaErrorMemoryAllocation);
        EXPECT_EQ(cudaMalloc(&more, std::size_t{1} << 50), cudaErrorMemoryAllocation);
        static_cast<void>(on_device<char>(1));
        EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
        EXPECT_EQ(free, 4 * mebibyte);  // blocks of 2 MiB
        EXPECT_EQ(cudaFree(large), cudaSuccess);
        EXPECT_EQ(cudaMalloc(&more, 8 * mebibyte), cudaSuccess);
    };
    in_child(body, {{"TRIREME_EMULATED_MEMORY_MB", "16"}});
}

TEST(EmulatedMemory, OfTheHostIsRegisteredOnce) {
    in_child([] {
        static std::array<char, 8192> memory;
        EXPECT_EQ(cudaHostUnregister(memory.data()), cudaErrorHostMemoryNotRegistered);
        EXPECT_EQ(cudaHostRegister(memory.data(), 4096, cudaHostRegisterPortable), cudaSuccess);
        EXPECT_EQ(cudaHostRegister(memory.data() + 4000, 200, 0), cudaErrorHostMemoryAlreadyRegistered);
        EXPECT_EQ(cudaHostRegister(memory.data() + 4096, 4096, 0), cudaSuccess);
        EXPECT_EQ(cudaHostUnregister(memory.data() + 8), cudaErrorHostMemoryNotRegistered);
        cudaPointerAttributes attributes{};
        EXPECT_EQ(cudaPointerGetAttributes(&attributes, memory.data() + 100), cudaSuccess);
        EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
        EXPECT_EQ(cudaHostUnregister(memory.data()), cudaSuccess);
        EXPECT_EQ(cudaPointerGetAttributes(&attributes, memory.data() + 100), cudaSuccess);
        EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
        EXPECT_EQ(cudaPointerGetAttributes(&attributes, on_device<char>(1)), cudaSuccess);
        EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
        EXPECT_EQ(cudaHostRegister(reinterpret_cast<void*>(4096), 4096, 0), cudaErrorInvalidValue);
    });
}

TEST(EmulatedCopies, StayInsideOfAllocations) {
    in_child([] {
        const cudaStream_t stream = new_stream();
        auto* there = on_device<char>(100);
        auto* host = page_locked<char>(200);
        static std::array<char, 200> pageable;
        const auto copy = [stream](void* to, const void* from, std::size_t size,
                                   cudaMemcpyKind kind = cudaMemcpyDefault) {
            return cudaMemcpyAsync(to, from, size, kind, stream);
        };
        EXPECT_EQ(copy(there, host, 100), cudaSuccess);
        EXPECT_EQ(copy(there, host, 101), cudaErrorInvalidValue);
        EXPECT_EQ(copy(host, there + 50, 51), cudaErrorInvalidValue);
        EXPECT_EQ(copy(host + 150, there, 51), cudaErrorInvalidValue);
        EXPECT_EQ(copy(there + 10, there, 20), cudaErrorInvalidValue);
        EXPECT_EQ(copy(there, pageable.data(), 10), cudaErrorInvalidValue);
        EXPECT_EQ(copy(pageable.data(), there, 10), cudaErrorInvalidValue);
        EXPECT_EQ(copy(there, host, 10, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
        EXPECT_EQ(copy(there, host, 10, cudaMemcpyHostToDevice), cudaSuccess);
        EXPECT_EQ(cudaMemsetAsync(there, 0, 101, stream), cudaErrorInvalidValue);
        EXPECT_EQ(cudaMemsetAsync(pageable.data(), 0, 1, stream), cudaErrorInvalidValue);
        EXPECT_EQ(cudaMemsetAsync(there, 5, 100, stream), cudaSuccess);
        EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
        EXPECT_EQ(cudaMemcpy(pageable.data(), there, 100, cudaMemcpyDeviceToHost), cudaSuccess);
        EXPECT_EQ(pageable[99], 5);
        EXPECT_EQ(cudaFree(there), cudaSuccess);
        EXPECT_EQ(copy(host, there, 1), cudaErrorInvalidValue);
    });
}

/// The host frees what a copy still needs: under some seeds the copy has run, under others the device fails.
TEST(EmulatedCopies, NeedTheirMemoryUntilTheyHaveRun) {
    const auto free_early = [] {
        const cudaStream_t stream = new_stream();
        auto* there = on_device<char>(100);
        auto* host = page_locked<char>(100);
        cudaMemcpyAsync(there, host, 100, cudaMemcpyDefault, stream);
        if (cudaFreeHost(host) != cudaSuccess) return 2;
        return cudaStreamSynchronize(stream) == cudaErrorIllegalAddress ? 1 : 0;
    };
    EXPECT_THAT(under_seeds(20, free_early), testing::Contains(1));
}

/// Two processes that tell each other things through pipes.
class Talk {
  public:
    Talk() { EXPECT_EQ(::pipe(ends_.data()), 0); }
    template <class T>
    void say(const T& what) const {
        EXPECT_EQ(::write(ends_[1], &what, sizeof what), static_cast<ssize_t>(sizeof what));
    }
    template <class T>
    T hear() const {
        T what{};
        EXPECT_EQ(::read(ends_[0], &what, sizeof what), static_cast<ssize_t>(sizeof what));
        return what;
    }

  private:
    std::array<int, 2> ends_{};
};

cudaError_t open_handle(void** memory, const cudaIpcMemHandle_t& handle) {
    return cudaIpcOpenMemHandle(memory, handle, cudaIpcMemLazyEnablePeerAccess);
}

void import_and_answer(const Talk& to, const Talk& from) {
    const auto handle = to.hear<cudaIpcMemHandle_t>();
    void* memory = nullptr;
    void* again = nullptr;
    ASSERT_EQ(open_handle(&memory, handle), cudaSuccess);
    EXPECT_EQ(open_handle(&again, handle), cudaSuccess);
    EXPECT_EQ(again, memory);
    EXPECT_EQ(static_cast<const unsigned char*>(memory)[4999], 3);
    const cudaStream_t stream = new_stream();
    EXPECT_EQ(cudaMemsetAsync(memory, 4, 5000, stream), cudaSuccess);
    EXPECT_EQ(cudaMemsetAsync(memory, 4, 5001, stream), cudaErrorInvalidValue);
    EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
    EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);
    from.say('w');
    EXPECT_EQ(to.hear<char>(), 'c');
    EXPECT_EQ(cudaIpcCloseMemHandle(memory), cudaSuccess);
    EXPECT_EQ(cudaIpcCloseMemHandle(memory), cudaSuccess);
    EXPECT_EQ(cudaIpcCloseMemHandle(memory), cudaErrorInvalidValue);
    from.say('c');
    EXPECT_EQ(to.hear<char>(), 'f');
    EXPECT_EQ(open_handle(&memory, handle), cudaErrorInvalidResourceHandle);
}

TEST(EmulatedMemory, IsSharedBetweenProcesses) {
    const Talk to;
    const Talk from;
    const pid_t peer = ::fork();
    if (peer == 0) {
        import_and_answer(to, from);
        ::_exit(HasFailure() ? 1 : 0);
    }
    in_child([&] {
        auto* memory = on_device<unsigned char>(5000);
        EXPECT_EQ(cudaMemset(memory, 3, 5000), cudaSuccess);
        EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
        cudaIpcMemHandle_t handle{};
        EXPECT_EQ(cudaIpcGetMemHandle(&handle, memory + 1), cudaErrorInvalidValue);
        EXPECT_EQ(cudaIpcGetMemHandle(&handle, memory), cudaSuccess);
        void* own = nullptr;
        EXPECT_EQ(open_handle(&own, handle), cudaErrorDeviceUninitialized);
        to.say(handle);
        EXPECT_EQ(from.hear<char>(), 'w');
        EXPECT_EQ(memory[0], 4);
        EXPECT_EQ(cudaFree(memory), cudaErrorInvalidValue);  // the other one has it open
        to.say('c');
        EXPECT_EQ(from.hear<char>(), 'c');
        EXPECT_EQ(cudaFree(memory), cudaSuccess);
        to.say('f');
        int status = 0;
        static_cast<void>(::waitpid(peer, &status, 0));
    });
    int status = 0;
    EXPECT_EQ(::waitpid(peer, &status, 0), peer);
    EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace trireme::emulated
