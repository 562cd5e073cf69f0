// Launches of kernels. nvcc's code registers each kernel under the address of a host function; what such a
// name does on the CPU is in libtrireme_emulated_kernels.so beside this library.
#include <map>
#include <tuple>

#include <dlfcn.h>

#include "tests/emulated/kernels/kernel_table.hpp"
#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::BindKernel;
using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::LaunchShape;

/// CUDA's own name for what a handle of a kernel points to.
struct CUkern_st {
    std::string name{};
    std::size_t dynamic_shared = 48 << 10;  ///< the most that a launch may ask for
};

namespace {

struct Kernels {
    std::mutex mutex{};
    std::map<const void*, CUkern_st> of_host{};  ///< by the host's function
};

Kernels& kernels() {
    static Kernels& all = *new Kernels;
    return all;
}

/// Null where it was not registered.
CUkern_st* kernel_of(const void* host) {
    Kernels& all = kernels();
    const std::lock_guard lock(all.mutex);
    const auto found = all.of_host.find(host);
    return found == all.of_host.end() ? nullptr : &found->second;
}

using FindKernel = BindKernel (*)(const char*);

FindKernel open_table() {
    Dl_info here{};
    if (::dladdr(reinterpret_cast<void*>(&open_table), &here) == 0) return nullptr;
    const std::string file = here.dli_fname;
    const std::string table = file.substr(0, file.rfind('/') + 1) + "libtrireme_emulated_kernels.so";
    void* library = ::dlopen(table.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        fmt::print(stderr, "emulated CUDA: {}\n", ::dlerror());
        return nullptr;
    }
    return reinterpret_cast<FindKernel>(::dlsym(library, "trireme_emulated_kernel"));
}

/// Null where nobody knows the kernel.
BindKernel body_of(const CUkern_st& kernel) {
    static const FindKernel find = open_table();
    return find == nullptr ? nullptr : find(kernel.name.c_str());
}

/// The limits of all GPUs that we know.
bool fits(dim3 grid, dim3 block) {
    const auto within = [](unsigned extent, unsigned most) { return extent >= 1 && extent <= most; };
    return within(grid.x, 0x7fffffffU) && within(grid.y, 65535) && within(grid.z, 65535) &&
           within(block.x, 1024) && within(block.y, 1024) && within(block.z, 64) &&
           std::uint64_t{block.x} * block.y * block.z <= 1024;
}

cudaError_t launch(Call& here, const CUkern_st* kernel, dim3 grid, dim3 block, void** arguments,
                   std::size_t shared, cudaStream_t stream) {
    CUstream_st* known = here.stream(stream);
    if (known == nullptr) return cudaErrorInvalidResourceHandle;
    if (kernel == nullptr)
        return here.refuse(cudaErrorInvalidDeviceFunction, "no kernel is registered there");
    if (!fits(grid, block))
        return here.refuse(cudaErrorInvalidConfiguration, "{}: {}x{}x{} blocks of {}x{}x{} threads",
                           kernel->name, grid.x, grid.y, grid.z, block.x, block.y, block.z);
    if (shared > kernel->dynamic_shared)
        return here.refuse(cudaErrorInvalidValue, "{}: {} bytes of shared memory, of {} at most",
                           kernel->name, shared, kernel->dynamic_shared);
    if (known->device != trireme::emulated::current_device())
        return here.refuse(cudaErrorInvalidResourceHandle, "the stream is not of the current device");
    const BindKernel bind = body_of(*kernel);
    if (bind == nullptr)
        return here.refuse(cudaErrorInvalidDeviceFunction, "nothing emulates the kernel {}", kernel->name);
    const LaunchShape shape{
        {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, static_cast<std::int64_t>(shared)};
    return put(here, *known, bind(shape, arguments));
}

using Configuration = std::tuple<dim3, dim3, std::size_t, cudaStream_t>;
thread_local std::vector<Configuration> configurations;

}  // namespace

extern "C" {

// What nvcc's code calls; NVIDIA's headers declare these for that code alone.

void** __cudaRegisterFatBinary(void* binary);
void __cudaRegisterFatBinaryEnd(void** handle);
void __cudaUnregisterFatBinary(void** handle);
void __cudaRegisterFunction(void** handle, const char* host, char* device, const char* name, int threads,
                            uint3* thread, uint3* block, dim3* block_extents, dim3* grid_extents, int* warp);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream);
cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream);
cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared, cudaStream_t stream);

/// The code for GPUs is not looked at.
void** __cudaRegisterFatBinary(void*) {
    static void* nothing = nullptr;
    return &nothing;
}

void __cudaRegisterFatBinaryEnd(void**) {}

void __cudaUnregisterFatBinary(void**) {}

void __cudaRegisterFunction(void**, const char* host, char*, const char* name, int, uint3*, uint3*, dim3*,
                            dim3*, int*) {
    Kernels& all = kernels();
    const std::lock_guard lock(all.mutex);
    all.of_host[host].name = name;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, std::size_t shared, cudaStream_t stream) {
    configurations.emplace_back(grid, block, shared, stream);
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, std::size_t* shared, void* stream) {
    if (configurations.empty()) return trireme::emulated::remember(cudaErrorInvalidConfiguration);
    std::tie(*grid, *block, *shared, *static_cast<cudaStream_t*>(stream)) = configurations.back();
    configurations.pop_back();
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t* kernel, const void* host) {
    *kernel = kernel_of(host);
    return *kernel == nullptr ? cudaErrorInvalidDeviceFunction : cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** arguments,
                               std::size_t shared, cudaStream_t stream) {
    return call("cudaLaunchKernel",
                [&](Call& here) { return launch(here, kernel, grid, block, arguments, shared, stream); });
}

cudaError_t cudaLaunchKernel(const void* host, dim3 grid, dim3 block, void** arguments, std::size_t shared,
                             cudaStream_t stream) {
    return call("cudaLaunchKernel", [&](Call& here) {
        return launch(here, kernel_of(host), grid, block, arguments, shared, stream);
    });
}

cudaError_t cudaFuncSetAttribute(const void* host, cudaFuncAttribute attribute, int value) {
    return call("cudaFuncSetAttribute", [&](Call& here) {
        CUkern_st* kernel = kernel_of(host);
        if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
        if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 || value > (227 << 10))
            return here.refuse(cudaErrorInvalidValue, "the attribute {} as {}", static_cast<int>(attribute),
                               value);
        kernel->dynamic_shared = static_cast<std::size_t>(value);
        return cudaSuccess;
    });
}

}  // extern "C"
