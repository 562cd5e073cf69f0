// Functions of NVRTC that cudnn-frontend's headers call. See libraries.hpp.
#include <nvrtc.h>

#include "runtime/device/cuda/imports/imported.hpp"

namespace {

template <auto Declared>
auto real(const char* name) {
    return trireme::cuda::imported<Declared, trireme::cuda::nvrtc_library>(name);
}

}  // namespace

extern "C" {

const char* nvrtcGetErrorString(nvrtcResult result) {
    return real<&nvrtcGetErrorString>("nvrtcGetErrorString")(result);
}
nvrtcResult nvrtcCreateProgram(nvrtcProgram* program, const char* source, const char* name, int headers,
                               const char* const* header_texts, const char* const* header_names) {
    return real<&nvrtcCreateProgram>("nvrtcCreateProgram")(program, source, name, headers, header_texts,
                                                           header_names);
}
nvrtcResult nvrtcDestroyProgram(nvrtcProgram* program) {
    return real<&nvrtcDestroyProgram>("nvrtcDestroyProgram")(program);
}
nvrtcResult nvrtcCompileProgram(nvrtcProgram program, int count, const char* const* options) {
    return real<&nvrtcCompileProgram>("nvrtcCompileProgram")(program, count, options);
}
nvrtcResult nvrtcVersion(int* major, int* minor) { return real<&nvrtcVersion>("nvrtcVersion")(major, minor); }
nvrtcResult nvrtcGetCUBINSize(nvrtcProgram program, size_t* size) {
    return real<&nvrtcGetCUBINSize>("nvrtcGetCUBINSize")(program, size);
}
nvrtcResult nvrtcGetCUBIN(nvrtcProgram program, char* cubin) {
    return real<&nvrtcGetCUBIN>("nvrtcGetCUBIN")(program, cubin);
}
nvrtcResult nvrtcGetProgramLogSize(nvrtcProgram program, size_t* size) {
    return real<&nvrtcGetProgramLogSize>("nvrtcGetProgramLogSize")(program, size);
}
nvrtcResult nvrtcGetProgramLog(nvrtcProgram program, char* log) {
    return real<&nvrtcGetProgramLog>("nvrtcGetProgramLog")(program, log);
}

}  // extern "C"
