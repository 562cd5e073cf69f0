// Functions of cuBLASLt that are called. See libraries.hpp.
#include <cublasLt.h>

#include "runtime/device/cuda/imports/imported.hpp"

namespace {

template <auto Declared>
auto real(const char* name) {
    return trireme::cuda::imported<Declared, trireme::cuda::cublaslt_library>(name);
}

}  // namespace

extern "C" {

size_t cublasLtGetVersion() { return real<&cublasLtGetVersion>("cublasLtGetVersion")(); }
const char* cublasLtGetStatusName(cublasStatus_t status) {
    return real<&cublasLtGetStatusName>("cublasLtGetStatusName")(status);
}
const char* cublasLtGetStatusString(cublasStatus_t status) {
    return real<&cublasLtGetStatusString>("cublasLtGetStatusString")(status);
}
cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    return real<&cublasLtCreate>("cublasLtCreate")(handle);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    return real<&cublasLtDestroy>("cublasLtDestroy")(handle);
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc, const void* alpha,
                              const void* a, cublasLtMatrixLayout_t a_layout, const void* b,
                              cublasLtMatrixLayout_t b_layout, const void* beta, const void* c,
                              cublasLtMatrixLayout_t c_layout, void* d, cublasLtMatrixLayout_t d_layout,
                              const cublasLtMatmulAlgo_t* algo, void* workspace, size_t workspace_size,
                              cudaStream_t stream) {
    return real<&cublasLtMatmul>("cublasLtMatmul")(handle, desc, alpha, a, a_layout, b, b_layout, beta, c,
                                                   c_layout, d, d_layout, algo, workspace, workspace_size,
                                                   stream);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    return real<&cublasLtMatmulDescCreate>("cublasLtMatmulDescCreate")(desc, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    return real<&cublasLtMatmulDescDestroy>("cublasLtMatmulDescDestroy")(desc);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              const void* value, size_t size) {
    return real<&cublasLtMatmulDescSetAttribute>("cublasLtMatmulDescSetAttribute")(desc, name, value, size);
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
    return real<&cublasLtMatrixLayoutCreate>("cublasLtMatrixLayoutCreate")(layout, type, rows, columns,
                                                                           leading);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    return real<&cublasLtMatrixLayoutDestroy>("cublasLtMatrixLayoutDestroy")(layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name, const void* value,
                                                size_t size) {
    return real<&cublasLtMatrixLayoutSetAttribute>("cublasLtMatrixLayoutSetAttribute")(layout, name, value,
                                                                                       size);
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    return real<&cublasLtMatmulPreferenceCreate>("cublasLtMatmulPreferenceCreate")(preference);
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return real<&cublasLtMatmulPreferenceDestroy>("cublasLtMatmulPreferenceDestroy")(preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, size_t size) {
    return real<&cublasLtMatmulPreferenceSetAttribute>("cublasLtMatmulPreferenceSetAttribute")(
        preference, name, value, size);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
    return real<&cublasLtMatmulAlgoGetHeuristic>("cublasLtMatmulAlgoGetHeuristic")(
        handle, desc, a, b, c, d, preference, wanted, results, found);
}
cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name, void* value,
                                                    size_t size, size_t* written) {
    return real<&cublasLtMatmulAlgoConfigGetAttribute>("cublasLtMatmulAlgoConfigGetAttribute")(
        algo, name, value, size, written);
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo,
                                       cublasLtMatmulHeuristicResult_t* result) {
    return real<&cublasLtMatmulAlgoCheck>("cublasLtMatmulAlgoCheck")(handle, desc, a, b, c, d, algo, result);
}

}  // extern "C"
