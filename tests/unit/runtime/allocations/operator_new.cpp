// A translation unit of its own: where the replaced operators can be inlined into their callers, the compiler
// takes them for mismatched pairs.
#include "kernels_allocations.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<bool> counting{false};
std::atomic<std::size_t> calls{0};
std::atomic<std::size_t> largest{0};

void* counted_allocation(std::size_t size) {
    if (counting.load(std::memory_order_relaxed)) {
        calls.fetch_add(1, std::memory_order_relaxed);
        std::size_t before = largest.load(std::memory_order_relaxed);
        while (before < size && !largest.compare_exchange_weak(before, size)) {
        }
    }
    if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
    throw std::bad_alloc();
}

}  // namespace

// The whole test program allocates through these.
void* operator new(std::size_t size) { return counted_allocation(size); }
void* operator new[](std::size_t size) { return counted_allocation(size); }
// The standard library's temporary buffers (std::stable_sort) come from the form that does not throw.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return std::malloc(size == 0 ? 1 : size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

namespace trireme::testing {

void start_counting_allocations() {
    calls = 0;
    largest = 0;
    counting = true;
}

AllocationCount stop_counting_allocations() {
    counting = false;
    return {.calls = calls.load(), .largest = largest.load()};
}

}  // namespace trireme::testing
