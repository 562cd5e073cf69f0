#include "runtime/device/cuda/imports/libraries.hpp"

#include <array>
#include <cstdlib>
#include <optional>

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <nvrtc.h>

#include "runtime/core/error.hpp"
#include "runtime/core/log.hpp"
#include "runtime/device/cuda_choice.hpp"

namespace trireme::cuda {
namespace {

std::optional<std::string> variable(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

LibraryHints hints() {
    return {variable("TRIREME_CUDA_LIBRARIES"), variable("CUDA_HOME"), variable("CUDA_PATH")};
}

/// cuBLASLt and NVRTC carry CUDA's own major version.
std::string soname_of(const char* base) { return fmt::format("{}.so.{}", base, CUDART_VERSION / 1000); }

std::string version_or_absence(const char* name, std::string (*version)()) {
    try {
        return version();
    } catch (const DeviceError&) {
        return fmt::format("{} not found", name);
    }
}

/// NVRTC opens its other half by a bare name, which the loader does not find in folders that only we know of
/// (those of a wheel, say). A library of that name that is open already serves it.
void open_builtins_of_nvrtc() {
    int major = 0;
    int minor = 0;
    if (nvrtcVersion(&major, &minor) != NVRTC_SUCCESS) return;
    const std::string nvrtc = nvrtc_library().path();
    const std::string file =
        fmt::format("{}libnvrtc-builtins.so.{}.{}", nvrtc.substr(0, nvrtc.rfind('/') + 1), major, minor);
    static_cast<void>(::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));  // not there: NVRTC looks for itself
}

}  // namespace

void* LateLibrary::handle() {
    const std::vector<std::string> candidates = library_candidates(soname_, hints());
    for (const std::string& candidate : candidates) {
        // A library that is open already is not opened again: this gives the same handle.
        if (void* handle = ::dlopen(candidate.c_str(), RTLD_NOW | RTLD_LOCAL)) return handle;
    }
    throw DeviceError(missing_library(what_, soname_, candidates));
}

void* LateLibrary::symbol(const char* name) {
    void* found = ::dlsym(handle(), name);
    if (found == nullptr) {
        throw DeviceError(
            fmt::format("{} ({}) has no function {}: it is older than the one that this program "
                        "was built for",
                        what_, path(), name));
    }
    return found;
}

std::string LateLibrary::path() {
    std::array<char, 4096> folder{};
    if (::dlinfo(handle(), RTLD_DI_ORIGIN, folder.data()) != 0) return soname_;
    return fmt::format("{}/{}", folder.data(), soname_);
}

LateLibrary& cudnn_library() {
    static LateLibrary& library = *new LateLibrary("cuDNN", fmt::format("libcudnn.so.{}", CUDNN_MAJOR));
    return library;
}

LateLibrary& cublaslt_library() {
    static LateLibrary& library = *new LateLibrary("cuBLASLt", soname_of("libcublasLt"));
    return library;
}

LateLibrary& nvrtc_library() {
    static LateLibrary& library = *new LateLibrary("NVRTC", soname_of("libnvrtc"));
    return library;
}

LateLibrary& nccl_library() {
    static LateLibrary& library = *new LateLibrary("NCCL", "libnccl.so.2");
    return library;
}

std::int64_t cudnn_version() { return static_cast<std::int64_t>(cudnnGetVersion()); }

void require_libraries() {
    // NVRTC first: cuDNN opens it by its bare name, and then finds this one.
    open_builtins_of_nvrtc();
    static_cast<void>(cublaslt_library().path());
    if (const std::string why = refusal_of_cudnn(cudnn_version(), cudnn_library().path()); !why.empty())
        throw DeviceError(why);
    // Builds for both share one name, and each opens the other libraries of its own CUDA.
    if (const auto built_for = static_cast<int>(cudnnGetCudartVersion());
        built_for / 1000 != CUDART_VERSION / 1000) {
        log::warn(
            "cuDNN of {} was built for CUDA {}, and this program for CUDA {}: put the folder of a cuDNN "
            "for CUDA {} into TRIREME_CUDA_LIBRARIES",
            cudnn_library().path(), cuda_version_text(built_for), cuda_version_text(CUDART_VERSION),
            CUDART_VERSION / 1000);
    }
}

std::vector<std::pair<std::string, std::string>> library_versions() {
    int driver = 0;
    int runtime = 0;
    static_cast<void>(cudaDriverGetVersion(&driver));
    static_cast<void>(cudaRuntimeGetVersion(&runtime));
    return {
        {"cuda_runtime", cuda_version_text(runtime)},
        {"cuda_driver", driver == 0 ? "no driver" : cuda_version_text(driver)},
        {"cudnn", version_or_absence("cuDNN", [] { return cudnn_version_text(cudnn_version()); })},
        {"cublaslt", version_or_absence("cuBLASLt", [] { return fmt::format("{}", cublasLtGetVersion()); })},
    };
}

}  // namespace trireme::cuda
