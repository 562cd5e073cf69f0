// The library as such: versions, status words, handles.
#include <cstdlib>
#include <string_view>

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "tests/emulated/cublaslt/objects.hpp"
#include "tests/emulated/cublaslt/refusal.hpp"

namespace {

struct StatusWords {
    cublasStatus_t status;
    const char* name;
    const char* text;
};
constexpr StatusWords words[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH",
     "the function requires an architectural feature absent from the device"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED",
     "the function failed to launch on the GPU"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED",
     "the requested functionality is not supported"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "the license check failed"},
};

const StatusWords& words_of(cublasStatus_t status) {
    static constexpr StatusWords none{CUBLAS_STATUS_SUCCESS, "unrecognized status", "unrecognized status"};
    for (const StatusWords& known : words) {
        if (known.status == status) return known;
    }
    return none;
}

std::string_view environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? std::string_view() : std::string_view(value);
}

}  // namespace

extern "C" {

namespace emulated = trireme::emulated;

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
const char* cublasLtGetStatusName(cublasStatus_t status) { return words_of(status).name; }
const char* cublasLtGetStatusString(cublasStatus_t status) { return words_of(status).text; }

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    if (handle == nullptr)
        return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, "nowhere to put it");
    emulated::Handle made;
    int major = 0;
    int minor = 0;
    if (cudaGetDevice(&made.device) != cudaSuccess ||
        cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, made.device) != cudaSuccess ||
        cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, made.device) != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    made.sm = 10 * major + minor;
    made.tf32 = environment("NVIDIA_TF32_OVERRIDE") != "0";
    made.repeats = environment("TRIREME_EMULATED_UNREPEATABLE") != "1";
    if (const char* seed = std::getenv("TRIREME_EMULATED_SEED"); seed != nullptr)
        made.salt = static_cast<std::uint32_t>(std::strtoul(seed, nullptr, 0));
    *handle = reinterpret_cast<cublasLtHandle_t>(emulated::Living<emulated::Handle>::all().add(made));
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    if (emulated::Living<emulated::Handle>::all().remove(handle)) return CUBLAS_STATUS_SUCCESS;
    return emulated::refuse(CUBLAS_STATUS_NOT_INITIALIZED, __func__, "there is no such handle");
}

}  // extern "C"
