// Devices and versions.
#include <algorithm>
#include <cstring>

#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::process;

namespace {

/// Shared memory that a block may opt in to, by the CUDA programming guide's table of compute capabilities.
std::size_t shared_of(int sm) {
    switch (sm) {
        case 75:
            return 64 << 10;
        case 80:
        case 87:
            return 163 << 10;
        case 86:
        case 89:
        case 120:
            return 99 << 10;
        default:
            return 227 << 10;
    }
}

cudaDeviceProp properties_of(const trireme::emulated::Process& all, int device) {
    cudaDeviceProp properties{};
    const int number = all.visible[static_cast<std::size_t>(device)];
    const std::string uuid = trireme::emulated::uuid_of(number);
    std::strcpy(properties.name, "Emulated GPU");
    std::memcpy(properties.uuid.bytes, uuid.data(), sizeof properties.uuid.bytes);
    properties.major = all.settings.sm / 10;
    properties.minor = all.settings.sm % 10;
    properties.totalGlobalMem = static_cast<std::size_t>(all.memory.total());
    properties.multiProcessorCount = 132;
    properties.warpSize = 32;
    properties.maxThreadsPerBlock = 1024;
    std::copy_n(std::array{1024, 1024, 64}.begin(), 3, properties.maxThreadsDim);
    std::copy_n(std::array{0x7fffffff, 65535, 65535}.begin(), 3, properties.maxGridSize);
    properties.maxThreadsPerMultiProcessor = 2048;
    properties.maxBlocksPerMultiProcessor = 32;
    properties.sharedMemPerBlock = 48 << 10;
    properties.sharedMemPerBlockOptin = shared_of(all.settings.sm);
    properties.reservedSharedMemPerBlock = 1 << 10;
    properties.sharedMemPerMultiprocessor = properties.sharedMemPerBlockOptin + (1 << 10);
    properties.regsPerBlock = 65536;
    properties.regsPerMultiprocessor = 65536;
    properties.totalConstMem = 64 << 10;
    properties.l2CacheSize = 50 << 20;
    properties.memoryBusWidth = 5120;
    properties.asyncEngineCount = 3;
    properties.concurrentKernels = 1;
    properties.unifiedAddressing = 1;
    properties.managedMemory = 1;
    properties.concurrentManagedAccess = 1;
    properties.canMapHostMemory = 1;
    properties.hostRegisterSupported = 1;
    properties.canUseHostPointerForRegisteredMem = 1;
    properties.ipcEventSupported = 1;
    properties.pciBusID = number + 1;
    return properties;
}

/// Nothing for an attribute that nobody has asked for yet.
std::optional<int> attribute_of(const cudaDeviceProp& properties, cudaDeviceAttr attribute) {
    switch (attribute) {
        case cudaDevAttrComputeCapabilityMajor:
            return properties.major;
        case cudaDevAttrComputeCapabilityMinor:
            return properties.minor;
        case cudaDevAttrMultiProcessorCount:
            return properties.multiProcessorCount;
        case cudaDevAttrWarpSize:
            return properties.warpSize;
        case cudaDevAttrMaxThreadsPerBlock:
            return properties.maxThreadsPerBlock;
        case cudaDevAttrMaxThreadsPerMultiProcessor:
            return properties.maxThreadsPerMultiProcessor;
        case cudaDevAttrMaxSharedMemoryPerBlock:
            return static_cast<int>(properties.sharedMemPerBlock);
        case cudaDevAttrMaxSharedMemoryPerBlockOptin:
            return static_cast<int>(properties.sharedMemPerBlockOptin);
        case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
            return static_cast<int>(properties.sharedMemPerMultiprocessor);
        case cudaDevAttrL2CacheSize:
            return properties.l2CacheSize;
        case cudaDevAttrUnifiedAddressing:
        case cudaDevAttrManagedMemory:
        case cudaDevAttrConcurrentManagedAccess:
        case cudaDevAttrIpcEventSupport:
            return 1;
        default:
            return std::nullopt;
    }
}

bool exists(const Call& here, int device) { return device >= 0 && device < here.all.devices(); }

}  // namespace

extern "C" {

// These three answer without a driver, too.

cudaError_t cudaDriverGetVersion(int* version) {
    if (version == nullptr) return trireme::emulated::remember(cudaErrorInvalidValue);
    *version = process().settings.driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
    if (version == nullptr) return trireme::emulated::remember(cudaErrorInvalidValue);
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
    return call("cudaGetDeviceCount", [&](Call& here) {
        *count = here.all.devices();
        return cudaSuccess;
    });
}

cudaError_t cudaGetDevice(int* device) {
    return call("cudaGetDevice", [&](Call&) {
        *device = trireme::emulated::current_device();
        return cudaSuccess;
    });
}

cudaError_t cudaSetDevice(int device) {
    return call("cudaSetDevice", [&](Call& here) {
        if (!exists(here, device)) return cudaErrorInvalidDevice;
        trireme::emulated::make_current(device);
        return cudaSuccess;
    });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
    return call("cudaGetDeviceProperties", [&](Call& here) {
        if (!exists(here, device)) return cudaErrorInvalidDevice;
        *properties = properties_of(here.all, device);
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
    return call("cudaDeviceGetAttribute", [&](Call& here) {
        if (!exists(here, device)) return cudaErrorInvalidDevice;
        const std::optional<int> known = attribute_of(properties_of(here.all, device), attribute);
        if (!known)
            return here.refuse(cudaErrorInvalidValue, "the attribute {} is not emulated",
                               static_cast<int>(attribute));
        *value = *known;
        return cudaSuccess;
    });
}

}  // extern "C"
