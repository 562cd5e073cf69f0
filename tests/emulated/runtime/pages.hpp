// Pages of memory: what maps them, and the table that the file of a process begins with.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>

namespace trireme::emulated {

inline constexpr std::size_t page = 4096;

constexpr std::size_t rounded(std::size_t size, std::size_t unit) { return (size + unit - 1) / unit * unit; }

/// What the operating system refuses is no error of CUDA's, and no test goes on without.
[[noreturn]] inline void die(const char* what) {
    std::fputs("emulated CUDA: ", stderr);
    std::perror(what);
    std::abort();
}

inline void map_over(char* at, std::size_t size, int protection, int flags, int file, std::size_t offset) {
    void* got = ::mmap(at, size, protection, flags | MAP_FIXED, file, static_cast<off_t>(offset));
    if (got == MAP_FAILED) die("mapping memory");
}

/// What other processes see of a process's exports.
struct ExportTable {
    struct Slot {
        std::atomic<std::uint64_t> id;  ///< 0: freed
        std::atomic<std::int32_t> open;
    };
    static constexpr std::size_t slots = 4096;
    std::atomic<std::uint64_t> ids;
    Slot slot[slots];
};

}  // namespace trireme::emulated
