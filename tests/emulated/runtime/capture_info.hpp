// cudaStreamGetCaptureInfo has other arguments in CUDA 13 than in CUDA 12: CMake takes the file of the tool
// chain, capture_info_12.cpp or capture_info_13.cpp.
#pragma once

#include <cuda_runtime_api.h>

namespace trireme::emulated {

/// `more`: whether it is asked for what the double does not show.
cudaError_t capture_info(cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                         cudaGraph_t* graph, bool more);

}  // namespace trireme::emulated
