#include "runtime/core/host_memory.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <sys/mman.h>

#include "runtime/core/error.hpp"
#include "runtime/core/text.hpp"

namespace trireme {
namespace {

std::size_t mapped_size(Bytes size) {
    return static_cast<std::size_t>(std::max<std::int64_t>(size.value, 1));
}

}  // namespace

std::byte* HostMemory::allocate(Bytes size) {
    void* memory =
        ::mmap(nullptr, mapped_size(size), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        throw DeviceError(
            fmt::format("the host has no {} of memory to give: {}", human_bytes(size), std::strerror(errno)));
    }
    return static_cast<std::byte*>(memory);
}

void HostMemory::release(std::byte* memory, Bytes size) noexcept { ::munmap(memory, mapped_size(size)); }

}  // namespace trireme
