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

int cudaGetDriverEntryPointByVersion();
int cudaKernelSetAttributeForDevice();
int cudaLibraryGetKernel();
int cudaLibraryLoadData();
int cudaLibraryUnload();

int cudaGetDriverEntryPointByVersion() { return refuse("cudaGetDriverEntryPointByVersion"); }
int cudaKernelSetAttributeForDevice() { return refuse("cudaKernelSetAttributeForDevice"); }
int cudaLibraryGetKernel() { return refuse("cudaLibraryGetKernel"); }
int cudaLibraryLoadData() { return refuse("cudaLibraryLoadData"); }
int cudaLibraryUnload() { return refuse("cudaLibraryUnload"); }

}  // extern "C"
