#include "jobs/stop_signal.hpp"

#include <atomic>

#include "runtime/core/error.hpp"

namespace trireme::jobs {
namespace {

// A handler can reach nothing but what is static.
std::atomic<bool> stop_wished{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may not wait for a lock");

constexpr std::array<int, 2> signals{SIGTERM, SIGUSR1};

extern "C" void note_stop(int) { stop_wished.store(true, std::memory_order_relaxed); }

}  // namespace

StopSignal::StopSignal() {
    stop_wished = false;
    struct sigaction action {};
    action.sa_handler = note_stop;
    action.sa_flags = SA_RESTART;  // the libraries below us need not know of it
    sigemptyset(&action.sa_mask);
    for (std::size_t i = 0; i < signals.size(); ++i)
        ensure(sigaction(signals[i], &action, &former_[i]) == 0, "a handler can be installed");
}

StopSignal::~StopSignal() {
    for (std::size_t i = 0; i < signals.size(); ++i) sigaction(signals[i], &former_[i], nullptr);
}

bool StopSignal::wished() { return stop_wished.load(std::memory_order_relaxed); }

}  // namespace trireme::jobs
