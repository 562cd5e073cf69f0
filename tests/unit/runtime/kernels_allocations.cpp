#include "kernels_allocations.hpp"

#include <atomic>

namespace trireme::test {
namespace {

std::atomic<bool> counting{false};
std::atomic<std::size_t> calls{0};
std::atomic<std::size_t> largest{0};

}  // namespace

void note_allocation(std::size_t bytes) {
    if (!counting.load(std::memory_order_relaxed)) return;
    calls.fetch_add(1, std::memory_order_relaxed);
    std::size_t before = largest.load(std::memory_order_relaxed);
    while (before < bytes && !largest.compare_exchange_weak(before, bytes)) {
    }
}

void start_counting_allocations() {
    calls = 0;
    largest = 0;
    counting = true;
}

AllocationCount stop_counting_allocations() {
    counting = false;
    return {.calls = calls.load(), .largest = largest.load()};
}

}  // namespace trireme::test
