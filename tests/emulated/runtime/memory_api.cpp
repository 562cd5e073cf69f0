// Memory of devices and of the host.
#include <cerrno>

#include <sys/mman.h>

#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::Kind;
using trireme::emulated::Range;

namespace {

cudaError_t allocate(Call& here, Kind kind, void** memory, std::size_t size) {
    if (const auto refused = here.unsafe()) return *refused;
    if (memory == nullptr) return here.refuse(cudaErrorInvalidValue, "no place for the address");
    *memory = nullptr;
    // cudaMalloc of nothing gives a null pointer; managed memory has no size of 0.
    if (size == 0) return kind == Kind::managed ? cudaErrorInvalidValue : cudaSuccess;
    const Range* range = here.all.memory.allocate(kind, trireme::emulated::current_device(), size);
    if (range == nullptr) return cudaErrorMemoryAllocation;
    *memory = range->base;
    return cudaSuccess;
}

/// What is not allocated: freed already, or never.
cudaError_t no_allocation(Call& here, const void* memory) {
    return here.refuse(cudaErrorInvalidValue, "{} is {}", memory,
                       here.all.memory.ours(memory) ? "no beginning of an allocation that is still there"
                                                    : "nothing that CUDA has allocated");
}

cudaError_t release(Call& here, void* memory) {
    if (const auto refused = here.unsafe()) return *refused;
    if (memory == nullptr) return cudaSuccess;
    const Range* range = here.all.memory.begins(memory);
    if (range == nullptr || (range->kind != Kind::device && range->kind != Kind::managed))
        return no_allocation(here, memory);
    if (here.all.memory.open_elsewhere(*range))
        return here.refuse(cudaErrorInvalidValue, "another process has this memory open");
    // CUDA's implicit synchronization.
    here.all.scheduler.wait_for_all(here.lock);
    // Meanwhile another thread may have freed it, or allocated more.
    Range* still = here.all.memory.begins(memory);
    if (still == nullptr) return no_allocation(here, memory);
    here.all.memory.release(*still);
    return cudaSuccess;
}

/// What runs at this moment may still use memory of the host; what comes later is told that it has gone.
cudaError_t release_host(Call& here, void* memory, Kind kind, cudaError_t otherwise) {
    if (const auto refused = here.unsafe()) return *refused;
    if (memory == nullptr && kind == Kind::pinned) return cudaSuccess;
    here.all.scheduler.wait_for_running(here.lock);
    Range* range = here.all.memory.begins(memory);
    if (range == nullptr || range->kind != kind)
        return here.refuse(otherwise, "{} is no beginning of such memory", fmt::ptr(memory));
    here.all.memory.release(*range);
    return cudaSuccess;
}

/// False where part of it is no memory at all.
bool mapped(void* memory, std::size_t size) {
    constexpr std::uintptr_t page = 4096;
    const auto first = reinterpret_cast<std::uintptr_t>(memory) / page * page;
    const std::size_t span = reinterpret_cast<std::uintptr_t>(memory) + size - first;
    return ::msync(reinterpret_cast<void*>(first), span, MS_ASYNC) == 0 || errno != ENOMEM;
}

cudaError_t pin(Call& here, void* memory, std::size_t size, unsigned flags) {
    if (const auto refused = here.unsafe()) return *refused;
    constexpr unsigned known = cudaHostRegisterPortable | cudaHostRegisterMapped;
    if (memory == nullptr || size == 0 || (flags & ~known) != 0)
        return here.refuse(cudaErrorInvalidValue, "no memory, or flags of {:#x}", flags);
    if (here.all.memory.touches_any(memory, size))
        return here.refuse(cudaErrorHostMemoryAlreadyRegistered, "part of it is registered or CUDA's own");
    if (!mapped(memory, size)) return here.refuse(cudaErrorInvalidValue, "part of it is no memory");
    here.all.memory.add_registered(static_cast<char*>(memory), size);
    return cudaSuccess;
}

void describe(cudaPointerAttributes& attributes, const void* pointer, const Range* range) {
    attributes = {};
    attributes.type = cudaMemoryTypeUnregistered;
    attributes.device = cudaInvalidDeviceId;
    attributes.hostPointer = const_cast<void*>(pointer);
    if (range == nullptr) return;
    attributes.device = range->device;
    attributes.devicePointer = const_cast<void*>(pointer);
    switch (range->kind) {
        case Kind::device:
        case Kind::imported:
            attributes.type = cudaMemoryTypeDevice;
            attributes.hostPointer = nullptr;
            break;
        case Kind::managed:
            attributes.type = cudaMemoryTypeManaged;
            break;
        case Kind::pinned:
        case Kind::registered:
            attributes.type = cudaMemoryTypeHost;
            break;
    }
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** memory, std::size_t size) {
    return call("cudaMalloc", [&](Call& here) { return allocate(here, Kind::device, memory, size); });
}

cudaError_t cudaMallocManaged(void** memory, std::size_t size, unsigned flags) {
    return call("cudaMallocManaged", [&](Call& here) {
        if (flags != cudaMemAttachGlobal) return here.refuse(cudaErrorInvalidValue, "flags of {:#x}", flags);
        return allocate(here, Kind::managed, memory, size);
    });
}

cudaError_t cudaFree(void* memory) {
    return call("cudaFree", [&](Call& here) { return release(here, memory); });
}

cudaError_t cudaHostAlloc(void** memory, std::size_t size, unsigned flags) {
    return call("cudaHostAlloc", [&](Call& here) {
        constexpr unsigned known = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
        if ((flags & ~known) != 0) return here.refuse(cudaErrorInvalidValue, "flags of {:#x}", flags);
        return allocate(here, Kind::pinned, memory, size);
    });
}

cudaError_t cudaMallocHost(void** memory, std::size_t size) {
    return call("cudaMallocHost", [&](Call& here) { return allocate(here, Kind::pinned, memory, size); });
}

cudaError_t cudaFreeHost(void* memory) {
    return call("cudaFreeHost",
                [&](Call& here) { return release_host(here, memory, Kind::pinned, cudaErrorInvalidValue); });
}

cudaError_t cudaHostRegister(void* memory, std::size_t size, unsigned flags) {
    return call("cudaHostRegister", [&](Call& here) { return pin(here, memory, size, flags); });
}

cudaError_t cudaHostUnregister(void* memory) {
    return call("cudaHostUnregister", [&](Call& here) {
        return release_host(here, memory, Kind::registered, cudaErrorHostMemoryNotRegistered);
    });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
    return call("cudaMemGetInfo", [&](Call& here) {
        const int device = trireme::emulated::current_device();
        *total = static_cast<std::size_t>(here.all.memory.total());
        *free = *total - static_cast<std::size_t>(here.all.memory.used(device));
        return cudaSuccess;
    });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* pointer) {
    return call("cudaPointerGetAttributes", [&](Call& here) {
        if (attributes == nullptr || pointer == nullptr) return cudaErrorInvalidValue;
        describe(*attributes, pointer, here.all.memory.holds(pointer));
        return cudaSuccess;
    });
}

cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t* handle, void* memory) {
    return call("cudaIpcGetMemHandle", [&](Call& here) {
        Range* range = here.all.memory.begins(memory);
        if (range == nullptr || range->kind != Kind::device)
            return here.refuse(cudaErrorInvalidValue, "this is no beginning of an allocation of cudaMalloc");
        const trireme::emulated::Export mine = here.all.memory.exported(*range);
        static_assert(sizeof mine <= sizeof handle->reserved);
        *handle = {};
        __builtin_memcpy(handle->reserved, &mine, sizeof mine);
        return cudaSuccess;
    });
}

cudaError_t cudaIpcOpenMemHandle(void** memory, cudaIpcMemHandle_t handle, unsigned flags) {
    return call("cudaIpcOpenMemHandle", [&](Call& here) {
        if (const auto refused = here.unsafe()) return *refused;
        if (memory == nullptr || flags != cudaIpcMemLazyEnablePeerAccess)
            return here.refuse(cudaErrorInvalidValue, "no place for the address, or flags of {:#x}", flags);
        trireme::emulated::Export theirs{};
        __builtin_memcpy(&theirs, handle.reserved, sizeof theirs);
        if (here.all.memory.is_own(theirs))
            return here.refuse(cudaErrorDeviceUninitialized, "this process exported it, and may not open it");
        std::string why;
        const Range* range = here.all.memory.import(theirs, why);
        if (range == nullptr) return here.refuse(cudaErrorInvalidResourceHandle, "{}", why);
        *memory = range->base;
        return cudaSuccess;
    });
}

cudaError_t cudaIpcCloseMemHandle(void* memory) {
    return call("cudaIpcCloseMemHandle", [&](Call& here) {
        if (const auto refused = here.unsafe()) return *refused;
        here.all.scheduler.wait_for_running(here.lock);
        Range* range = here.all.memory.begins(memory);
        if (range == nullptr || range->kind != Kind::imported)
            return here.refuse(cudaErrorInvalidValue, "this is nothing that cudaIpcOpenMemHandle gave");
        here.all.memory.close(*range);
        return cudaSuccess;
    });
}

}  // extern "C"
