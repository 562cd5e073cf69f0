// Copies and sets. Both ends must lie inside memory that CUDA knows, when they are called and when the stream
// gets there. Memory of the host that is not page-locked is legal in CUDA, but then an asynchronous copy may
// wait; nothing of ours shall, so it is an error here.
#include <cstring>

#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::DeviceFault;
using trireme::emulated::Kind;
using trireme::emulated::Range;

namespace {

enum class Side { device, locked, pageable, broken };

Side side_of(trireme::emulated::Memory& memory, const void* address, std::size_t size) {
    const Range* range = memory.holds(address);
    if (range == nullptr) {
        const bool elsewhere = !memory.ours(address) && !memory.touches_any(address, size);
        return elsewhere && address != nullptr ? Side::pageable : Side::broken;
    }
    if (static_cast<const char*>(address) + size > range->base + range->size) return Side::broken;
    return range->kind == Kind::pinned || range->kind == Kind::registered ? Side::locked : Side::device;
}

/// `kind` names what the ends are; managed memory may stand for either.
bool fits(cudaMemcpyKind kind, Side to, Side from) {
    const bool to_device = to == Side::device;
    const bool from_device = from == Side::device;
    switch (kind) {
        case cudaMemcpyHostToHost:
            return !to_device && !from_device;
        case cudaMemcpyHostToDevice:
            return to_device && !from_device;
        case cudaMemcpyDeviceToHost:
            return !to_device && from_device;
        case cudaMemcpyDeviceToDevice:
            return to_device && from_device;
        case cudaMemcpyDefault:
            return true;
    }
    return false;
}

/// Runs in the worker. Memory that was freed since the launch is a fault of the device, as there.
void require(const void* address, std::size_t size, const char* what) {
    trireme::emulated::Process& all = trireme::emulated::process();
    const trireme::emulated::Lock lock(all.mutex);
    if (side_of(all.memory, address, size) == Side::broken)
        throw DeviceFault(
            cudaErrorIllegalAddress,
            fmt::format("{} touches {} bytes at {}, which have been freed", what, size, address));
}

cudaError_t copy(Call& here, void* to, const void* from, std::size_t size, cudaMemcpyKind kind,
                 CUstream_st& stream, bool may_wait) {
    if (size == 0) return cudaSuccess;
    const Side there = side_of(here.all.memory, to, size);
    const Side source = side_of(here.all.memory, from, size);
    if (there == Side::broken || source == Side::broken)
        return here.refuse(cudaErrorInvalidValue, "{} bytes from {} to {} are not inside of allocations",
                           size, from, fmt::ptr(to));
    if (!fits(kind, there, source))
        return here.refuse(cudaErrorInvalidValue, "the kind {} is not what the addresses are",
                           static_cast<int>(kind));
    if (!may_wait && (there == Side::pageable || source == Side::pageable))
        return here.refuse(cudaErrorInvalidValue,
                           "{} of the host is not page-locked, so that the copy would wait",
                           there == Side::pageable ? fmt::ptr(to) : fmt::ptr(from));
    const auto* first = static_cast<const char*>(from);
    auto* target = static_cast<char*>(to);
    if (first < target + size && target < first + size)
        return here.refuse(cudaErrorInvalidValue, "source and target overlap");
    return put(here, stream, [=] {
        require(to, size, "a copy");
        require(from, size, "a copy");
        std::memcpy(to, from, size);
    });
}

cudaError_t set(Call& here, void* to, int value, std::size_t size, CUstream_st& stream) {
    if (size == 0) return cudaSuccess;
    const Side side = side_of(here.all.memory, to, size);
    if (side == Side::broken || side == Side::pageable)
        return here.refuse(cudaErrorInvalidValue, "{} bytes at {} are not inside of an allocation", size,
                           fmt::ptr(to));
    return put(here, stream, [=] {
        require(to, size, "a memset");
        std::memset(to, value, size);
    });
}

}  // namespace

extern "C" {

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t size, cudaMemcpyKind kind,
                            cudaStream_t stream) {
    return call("cudaMemcpyAsync", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        return copy(here, to, from, size, kind, *known, false);
    });
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t size, cudaMemcpyKind kind) {
    return call("cudaMemcpy", [&](Call& here) {
        if (const auto refused = here.unsafe()) return *refused;
        CUstream_st& legacy = *here.stream(nullptr);
        if (const cudaError_t status = copy(here, to, from, size, kind, legacy, true); status != cudaSuccess)
            return status;
        here.all.scheduler.wait(here.lock, legacy.last);
        return fault(here);
    });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t size, cudaStream_t stream) {
    return call("cudaMemsetAsync", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        return set(here, to, value, size, *known);
    });
}

/// Asynchronous with respect to the host, as CUDA's is for device memory.
cudaError_t cudaMemset(void* to, int value, std::size_t size) {
    return call("cudaMemset", [&](Call& here) {
        if (const auto refused = here.unsafe()) return *refused;
        return set(here, to, value, size, *here.stream(nullptr));
    });
}

}  // extern "C"
