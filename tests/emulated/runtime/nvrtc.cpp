// NVRTC, as far as a program asks for it before cuDNN compiles anything.
#include <cuda_runtime_api.h>
#include <nvrtc.h>

extern "C" {

nvrtcResult nvrtcVersion(int* major, int* minor) {
    *major = CUDART_VERSION / 1000;
    *minor = CUDART_VERSION % 1000 / 10;
    return NVRTC_SUCCESS;
}

}  // extern "C"
