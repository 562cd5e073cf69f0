// Fibers change places by longjmp, which FORTIFY takes for a mistake.
#undef _FORTIFY_SOURCE

#include "tests/emulated/kernels/run_grid.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <vector>

#include <setjmp.h>
#include <ucontext.h>

#include "tests/emulated/kernels/device_builtins.hpp"

EmulatedExtents threadIdx;
EmulatedExtents blockIdx;
EmulatedExtents blockDim;
EmulatedExtents gridDim;

namespace trireme::cuda {

/// What every GPU grants a block, and a guard behind it.
constexpr std::size_t most_shared_bytes = 48 * 1024;
constexpr std::size_t guard_bytes = 64;
/// Of the block that runs: device_kernels.cuh declares it.
alignas(16) std::byte shared[most_shared_bytes + guard_bytes];

}  // namespace trireme::cuda

namespace trireme::emulated {
namespace {

constexpr std::byte guard{0xA5};
constexpr std::int64_t threads_of_warp = 32;
constexpr const char* half_reached = "a barrier is reached by some of its threads and not by others";

[[noreturn]] void fail(const char* what) {
    std::fprintf(stderr, "emulated kernel: %s\n", what);
    std::abort();
}

/// A permutation of [0, count) for each turn: start + i step.
class Turns {
  public:
    explicit Turns(std::int64_t count) : count_(count) { next(); }
    void next() {
        random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
        start_ = static_cast<std::int64_t>(random_ >> 33) % count_;
        step_ = static_cast<std::int64_t>(random_ >> 40) % count_ + 1;
        while (std::gcd(step_, count_) > 1) ++step_;
    }
    [[nodiscard]] std::int64_t count() const { return count_; }
    [[nodiscard]] std::int64_t at(std::int64_t i) const { return (start_ + i * step_) % count_; }

  private:
    static inline std::uint64_t random_ = 1;
    std::int64_t count_;
    std::int64_t start_ = 0;
    std::int64_t step_ = 1;
};

EmulatedExtents extents_of(const std::int64_t (&of)[3]) {
    return {static_cast<unsigned>(of[0]), static_cast<unsigned>(of[1]), static_cast<unsigned>(of[2])};
}

/// Place number `i` of a box, x fastest.
EmulatedExtents place(std::int64_t i, const EmulatedExtents& box) {
    return {static_cast<unsigned>(i % box.x), static_cast<unsigned>(i / box.x % box.y),
            static_cast<unsigned>(i / box.x / box.y)};
}

std::int64_t volume(const std::int64_t (&of)[3]) { return of[0] * of[1] * of[2]; }

/// The threads of the block at hand.
class Fibers {
  public:
    enum class State { ready, at_block_barrier, at_warp_barrier, done };

    /// Runs each of `count` threads to its end.
    void run(std::int64_t count, const Thread& thread) {
        while (static_cast<std::int64_t>(fibers_.size()) < count)
            fibers_.push_back(std::make_unique<Fiber>());
        thread_ = &thread;
        count_ = count;
        for (std::int64_t i = 0; i < count; ++i) begin(*fibers_[static_cast<std::size_t>(i)], i);
        Turns warps((count + threads_of_warp - 1) / threads_of_warp);
        while (!all(0, count, State::done)) {
            for (std::int64_t w = 0; w < warps.count(); ++w) run_warp(warps.at(w));
            if (!open(0, count, State::at_block_barrier) && !all(0, count, State::done)) fail(half_reached);
            warps.next();
        }
    }
    void wait(State barrier) {
        if (current_ == nullptr) fail("a kernel that is run without barriers has one");
        current_->state = barrier;
        Fiber& self = *current_;
        if (_setjmp(self.at) == 0) _longjmp(scheduler_, 1);
        threadIdx = self.index;
    }

  private:
    struct Fiber {
        static constexpr std::size_t stack_bytes = 64 * 1024;
        State state = State::done;
        bool entered = false;
        EmulatedExtents index;
        jmp_buf at;
        ucontext_t first;
        std::unique_ptr<std::byte[]> stack{new std::byte[stack_bytes]};
    };

    void begin(Fiber& fiber, std::int64_t i) {
        fiber.state = State::ready;
        fiber.entered = false;
        fiber.index = place(i, blockDim);
    }
    void enter(Fiber& fiber) {
        current_ = &fiber;
        threadIdx = fiber.index;
        if (_setjmp(scheduler_) == 0) {
            if (fiber.entered) _longjmp(fiber.at, 1);
            fiber.entered = true;
            start(fiber);
        }
        current_ = nullptr;
    }
    void start(Fiber& fiber) {
        getcontext(&fiber.first);
        fiber.first.uc_stack.ss_sp = fiber.stack.get();
        fiber.first.uc_stack.ss_size = Fiber::stack_bytes;
        fiber.first.uc_link = nullptr;
        makecontext(&fiber.first, &Fibers::main, 0);
        setcontext(&fiber.first);
    }
    static void main();

    [[nodiscard]] bool all(std::int64_t begin, std::int64_t end, State state) const {
        return std::all_of(fibers_.begin() + begin, fibers_.begin() + end,
                           [&](const auto& fiber) { return fiber->state == state; });
    }
    /// Opens a barrier that a whole warp, or the whole block, has reached.
    bool open(std::int64_t begin, std::int64_t end, State barrier) {
        if (!all(begin, end, barrier)) return false;
        for (std::int64_t i = begin; i < end; ++i) fibers_[static_cast<std::size_t>(i)]->state = State::ready;
        return true;
    }
    /// As far as it gets without the others of the block.
    void run_warp(std::int64_t warp) {
        const std::int64_t begin = warp * threads_of_warp;
        const std::int64_t end = std::min(begin + threads_of_warp, count_);
        Turns turns(end - begin);
        do {
            for (std::int64_t i = 0; i < turns.count(); ++i) {
                Fiber& fiber = *fibers_[static_cast<std::size_t>(begin + turns.at(i))];
                if (fiber.state == State::ready) enter(fiber);
            }
            turns.next();
        } while (open(begin, end, State::at_warp_barrier));
        const auto waits = [](const auto& fiber) { return fiber->state == State::at_warp_barrier; };
        if (std::any_of(fibers_.begin() + begin, fibers_.begin() + end, waits)) fail(half_reached);
    }

    std::vector<std::unique_ptr<Fiber>> fibers_;
    const Thread* thread_ = nullptr;
    std::int64_t count_ = 0;
    Fiber* current_ = nullptr;
    jmp_buf scheduler_;
};

Fibers& fibers() {
    static Fibers all;
    return all;
}

void Fibers::main() {
    Fibers& own = fibers();
    (*own.thread_)();
    own.current_->state = State::done;
    _longjmp(own.scheduler_, 1);
}

/// One launch at a time: the builtins are those of one thread.
std::mutex& one_launch() {
    static std::mutex mutex;
    return mutex;
}

/// f() for each block of the grid, with fresh shared memory.
template <class F>
void for_each_block(const LaunchShape& shape, const F& f) {
    const std::scoped_lock lock(one_launch());
    if (shape.shared_bytes > static_cast<std::int64_t>(cuda::most_shared_bytes))
        fail("a block asks for more shared memory than every GPU grants");
    blockDim = extents_of(shape.block);
    gridDim = extents_of(shape.grid);
    const std::int64_t blocks = volume(shape.grid);
    const Turns turns(blocks);
    std::byte* end = cuda::shared + shape.shared_bytes;
    for (std::int64_t i = 0; i < blocks; ++i) {
        blockIdx = place(turns.at(i), gridDim);
        std::fill(cuda::shared, end, std::byte{0xff});
        std::fill_n(end, cuda::guard_bytes, guard);
        f();
        if (!std::all_of(end, end + cuda::guard_bytes, [](std::byte b) { return b == guard; }))
            fail("a block writes behind its shared memory");
    }
}

}  // namespace

void run_grid_without_barriers(const LaunchShape& shape, const Thread& thread) {
    const std::int64_t threads = volume(shape.block);
    for_each_block(shape, [&] {
        const Turns turns(threads);
        for (std::int64_t i = 0; i < threads; ++i) {
            threadIdx = place(turns.at(i), blockDim);
            thread();
        }
    });
}

void run_grid(const LaunchShape& shape, const Thread& thread) {
    const std::int64_t threads = volume(shape.block);
    for_each_block(shape, [&] { fibers().run(threads, thread); });
}

}  // namespace trireme::emulated

void __syncthreads() { trireme::emulated::fibers().wait(trireme::emulated::Fibers::State::at_block_barrier); }
void __syncwarp() { trireme::emulated::fibers().wait(trireme::emulated::Fibers::State::at_warp_barrier); }
