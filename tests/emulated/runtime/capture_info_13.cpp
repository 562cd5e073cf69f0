#include "tests/emulated/runtime/capture_info.hpp"

extern "C" cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                                unsigned long long* id, cudaGraph_t* graph,
                                                const cudaGraphNode_t** nodes,
                                                const cudaGraphEdgeData** edges, size_t* count) {
    const bool more = nodes != nullptr || edges != nullptr || count != nullptr;
    return trireme::emulated::capture_info(stream, status, id, graph, more);
}
