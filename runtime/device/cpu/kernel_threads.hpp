// The threads that CPU kernels run on: OpenMP's team, shared with oneDNN, so that a process never owns two
// pools. This is the only place of the CPU device that names OpenMP.
//
// Number. OpenMP keeps the team size for each calling thread apart: a value set on the main thread does not
// hold on another one (threads as ranks in tests). So whoever makes or launches a kernel says the number with
// use_kernel_threads first; it costs one store.
//
// Waiting. After a parallel region libgomp's threads spin for a while before they sleep, which takes the core
// from whoever else needs it: the progress thread, or another rank. Measured with libgomp of GCC 12 on 2
// cores, 200 regions with pauses of 3 ms: 1.2 s of CPU time by default, 0.005 s with OMP_WAIT_POLICY=passive
// in the environment when the process starts, and 1.0 s when main() calls setenv, because libgomp reads the
// variable in a library constructor, before main. So the variable must come with the environment: from the
// launcher (mpirun -x OMP_WAIT_POLICY=passive), or main() sets it and executes /proc/self/exe again before
// anything else has started, only where it was unset (which works, and ends with the 0.005 s).
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace trireme::cpu {

/// From now on kernels that this thread launches run on `threads` threads, itself counted. At least 1.
void use_kernel_threads(int threads);
/// What use_kernel_threads said last on this thread, or OpenMP's own default.
[[nodiscard]] int kernel_threads();
/// True when waiting threads sleep: OMP_WAIT_POLICY=passive was in the environment.
[[nodiscard]] bool kernel_threads_wait_passively();

namespace detail {
using RangeFunction = void (*)(void* body, int worker, std::int64_t begin, std::int64_t end);
void run_ranges(int threads, std::int64_t count, RangeFunction function, void* body);
}  // namespace detail

/// Cuts [0, count) into one contiguous range a thread, by (count, threads) alone, and calls
/// body(worker, begin, end) for each, 0 <= worker < threads; workers whose range is empty are not called. The
/// body must not throw. Allocates nothing once the team exists.
template <class Body>
void parallel_ranges(int threads, std::int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    detail::run_ranges(
        threads, count,
        [](void* b, int worker, std::int64_t begin, std::int64_t end) {
            (*static_cast<Plain*>(b))(worker, begin, end);
        },
        const_cast<std::remove_const_t<Plain>*>(std::addressof(body)));
}

}  // namespace trireme::cpu
