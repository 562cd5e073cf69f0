#include "runtime/device/cpu/kernel_threads.hpp"

#include <atomic>
#include <cstdlib>

#include <omp.h>

#include "runtime/core/error.hpp"

namespace trireme::cpu {
namespace {

/// One parallel_ranges call. libgomp wakes and joins its threads with futexes that ThreadSanitizer does not
/// see, so the same order is said once more with two atomics.
struct Team {
    detail::RangeFunction function = nullptr;
    void* body = nullptr;
    std::int64_t count = 0;
    int threads = 1;
    std::atomic<int> started{0};
    std::atomic<int> finished{0};

    void work(int worker) {
        started.load(std::memory_order_acquire);
        const std::int64_t begin = count * worker / threads;
        const std::int64_t end = count * (worker + 1) / threads;
        if (begin < end) function(body, worker, begin, end);
        finished.fetch_add(1, std::memory_order_release);
    }
};

/// Not instrumented: what the compiler hands to the region's threads goes through libgomp unseen.
__attribute__((no_sanitize("thread"))) void fork_and_join(Team* team) {
#pragma omp parallel num_threads(team->threads)
    { team->work(omp_get_thread_num()); }
}

}  // namespace

void use_kernel_threads(int threads) {
    ensure(threads >= 1, "at least one kernel thread");
    omp_set_num_threads(threads);
}

int kernel_threads() { return omp_get_max_threads(); }

bool kernel_threads_wait_passively() {
    const char* policy = std::getenv("OMP_WAIT_POLICY");
    return policy != nullptr &&
           (std::string_view(policy) == "passive" || std::string_view(policy) == "PASSIVE");
}

void detail::run_ranges(int threads, std::int64_t count, RangeFunction function, void* body) {
    if (count <= 0) return;
    if (threads <= 1 || count == 1) {
        function(body, 0, 0, count);
        return;
    }
    Team team{.function = function, .body = body, .count = count, .threads = threads};
    team.started.store(1, std::memory_order_release);
    fork_and_join(&team);
    ensure(team.finished.load(std::memory_order_acquire) == threads,
           "OpenMP gave the kernel threads that were asked for (is OMP_THREAD_LIMIT or OMP_DYNAMIC set?)");
}

}  // namespace trireme::cpu
