// Functions of cuDNN that are called, by us and by cudnn-frontend's headers. See libraries.hpp.
#include <cudnn.h>

#include "runtime/device/cuda/imports/imported.hpp"

namespace {

template <auto Declared>
auto real(const char* name) {
    return trireme::cuda::imported<Declared, trireme::cuda::cudnn_library>(name);
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return real<&cudnnGetVersion>("cudnnGetVersion")(); }
size_t cudnnGetCudartVersion() { return real<&cudnnGetCudartVersion>("cudnnGetCudartVersion")(); }
const char* cudnnGetErrorString(cudnnStatus_t status) {
    return real<&cudnnGetErrorString>("cudnnGetErrorString")(status);
}
void cudnnGetLastErrorString(char* message, size_t size) {
    real<&cudnnGetLastErrorString>("cudnnGetLastErrorString")(message, size);
}
cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) { return real<&cudnnCreate>("cudnnCreate")(handle); }
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) { return real<&cudnnDestroy>("cudnnDestroy")(handle); }
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    return real<&cudnnSetStream>("cudnnSetStream")(handle, stream);
}
cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
    return real<&cudnnGetStream>("cudnnGetStream")(handle, stream);
}
cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
    return real<&cudnnBackendCreateDescriptor>("cudnnBackendCreateDescriptor")(type, descriptor);
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    return real<&cudnnBackendDestroyDescriptor>("cudnnBackendDestroyDescriptor")(descriptor);
}
cudnnStatus_t cudnnBackendInitialize(cudnnBackendDescriptor_t descriptor) {
    return real<&cudnnBackendInitialize>("cudnnBackendInitialize")(descriptor);
}
cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    return real<&cudnnBackendFinalize>("cudnnBackendFinalize")(descriptor);
}
cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* elements) {
    return real<&cudnnBackendSetAttribute>("cudnnBackendSetAttribute")(descriptor, name, type, count,
                                                                       elements);
}
cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t requested, int64_t* count, void* elements) {
    return real<&cudnnBackendGetAttribute>("cudnnBackendGetAttribute")(descriptor, name, type, requested,
                                                                       count, elements);
}
cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variant_pack) {
    return real<&cudnnBackendExecute>("cudnnBackendExecute")(handle, plan, variant_pack);
}

}  // extern "C"
