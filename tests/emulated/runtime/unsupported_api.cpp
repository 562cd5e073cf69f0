// Functions that the headers of cudnn-frontend name and nobody of ours calls. They are defined without CUDA's
// headers, which do not know all of them in every version: what is passed to them is not looked at.
#include <cstdio>

namespace {

int refuse(const char* name) {
    constexpr int not_supported = 801;  // cudaErrorNotSupported
    std::fprintf(stderr, "emulated CUDA: %s: not emulated\n", name);
    return not_supported;
}

}  // namespace

extern "C" {

int cudaGetDriverEntryPoint(const char*, void** function, unsigned long long, int* found);
int cudaGetDriverEntryPointByVersion(const char*, void** function, unsigned, unsigned long long, int* found);
int cudaKernelSetAttributeForDevice();
int cudaLibraryGetKernel();
int cudaLibraryLoadData();
int cudaLibraryUnload();

/// There is no driver, and so none of its functions: cudnn-frontend asks for one that tells whether a thread
/// has a context, and does without.
int cudaGetDriverEntryPoint(const char*, void** function, unsigned long long, int* found) {
    constexpr int not_found = 1;  // cudaDriverEntryPointSymbolNotFound
    *function = nullptr;
    if (found != nullptr) *found = not_found;
    return 0;
}
int cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long flags,
                                     int* found) {
    return cudaGetDriverEntryPoint(name, function, flags, found);
}
int cudaKernelSetAttributeForDevice() { return refuse("cudaKernelSetAttributeForDevice"); }
int cudaLibraryGetKernel() { return refuse("cudaLibraryGetKernel"); }
int cudaLibraryLoadData() { return refuse("cudaLibraryLoadData"); }
int cudaLibraryUnload() { return refuse("cudaLibraryUnload"); }

}  // extern "C"
