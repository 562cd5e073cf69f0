// Counts operator new, in builds whose sanitizer has replaced malloc already. A translation unit of its own:
// where the replaced operators can be inlined into their callers, the compiler takes them for mismatched
// pairs.
#include <cstdlib>
#include <new>

#include "tests/unit/runtime/kernels_allocations.hpp"

namespace {

void* counted_allocation(std::size_t size) {
    trireme::test::note_allocation(size);
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

bool trireme::test::counts_malloc() { return false; }
