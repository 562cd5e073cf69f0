// Counts malloc and its kin by standing in for them: the program's own functions come before those of the C
// library, for every library that it loads, and hand on to the names that glibc keeps for this. What they
// give is glibc's memory, so free() needs no stand-in. operator new is seen too, because it calls malloc.
#include <cerrno>
#include <cstddef>

#include "tests/unit/runtime/kernels_allocations.hpp"

using trireme::test::note_allocation;

// glibc's declarations say that they throw nothing, and so must these.
extern "C" {

void* __libc_malloc(std::size_t size) noexcept;
void* __libc_calloc(std::size_t count, std::size_t size) noexcept;
void* __libc_realloc(void* memory, std::size_t size) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t size) noexcept;

void* malloc(std::size_t size) noexcept {
    note_allocation(size);
    return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
    note_allocation(count * size);
    return __libc_calloc(count, size);
}

void* realloc(void* memory, std::size_t size) noexcept {
    note_allocation(size);
    return __libc_realloc(memory, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
    note_allocation(size);
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
    note_allocation(size);
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
    const bool power_of_two = alignment != 0 && (alignment & (alignment - 1)) == 0;
    if (!power_of_two || alignment % sizeof(void*) != 0) return EINVAL;
    note_allocation(size);
    void* got = __libc_memalign(alignment, size);
    if (got == nullptr) return ENOMEM;
    *memory = got;
    return 0;
}

}  // extern "C"

bool trireme::test::counts_malloc() { return true; }
