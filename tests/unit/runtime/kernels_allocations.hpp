// Counts what operator new gives while a launch is under test, on all threads, oneDNN's calls too.
#pragma once

#include <cstddef>

namespace trireme::test {

struct AllocationCount {
    std::size_t calls = 0;
    std::size_t largest = 0;  ///< bytes
};

/// From here to stop_counting_allocations() every operator new of the program is counted.
void start_counting_allocations();
[[nodiscard]] AllocationCount stop_counting_allocations();

}  // namespace trireme::test
