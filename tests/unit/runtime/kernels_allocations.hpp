// Counts what the program allocates while a launch or a step is under test, on all threads. One of two files
// stands behind it, by CMake's choice: allocations/malloc.cpp sees every call of malloc and its kin, those
// that libraries make too; allocations/operator_new.cpp, for builds whose sanitizer owns malloc, sees
// operator new alone.
#pragma once

#include <cstddef>

namespace trireme::test {

struct AllocationCount {
    std::size_t calls = 0;
    std::size_t largest = 0;  ///< bytes
};

/// From here to stop_counting_allocations() every allocation of the program is counted.
void start_counting_allocations();
[[nodiscard]] AllocationCount stop_counting_allocations();

/// Whether calls of malloc by libraries are seen, or only operator new.
[[nodiscard]] bool counts_malloc();

/// Called for each allocation by whichever file sees it. Allocates nothing.
void note_allocation(std::size_t bytes);

}  // namespace trireme::test
