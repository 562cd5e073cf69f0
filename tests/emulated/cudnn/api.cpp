// cuDNN's functions, as far as cudnn-frontend calls them. Errors are told on stderr, but for graphs and plans
// that are not supported: asking for those is no mistake.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <mutex>

#include <cuda_runtime_api.h>
#include <cudnn.h>

#include "tests/emulated/cudnn/descriptors.hpp"
#include "tests/emulated/cudnn/plan.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

struct cudnnContext {
    cudaStream_t stream = nullptr;
};

namespace {

using namespace trireme::emulated::dnn;

/// Of the calling thread, as cuDNN keeps it.
std::string& last_error() {
    thread_local std::string text;
    return text;
}

cudnnStatus_t told(const char* function, cudnnStatus_t status, const char* why) {
    last_error() = fmt::format("Error: {}; Reason: {}\n", cudnnGetErrorString(status), why);
    if (CUDNN_STATUS_CATEGORY(status) != CUDNN_STATUS_NOT_SUPPORTED)
        std::fputs(fmt::format("emulated cuDNN: {}: {}\n", function, why).c_str(), stderr);
    return status;
}

template <class F>
cudnnStatus_t answered(const char* function, const F& work) {
    try {
        work();
        return CUDNN_STATUS_SUCCESS;
    } catch (const Refusal& refusal) {
        return told(function, refusal.status(), refusal.what());
    } catch (const std::exception& e) {
        return told(function, CUDNN_STATUS_INTERNAL_ERROR, e.what());
    }
}

template <class T>
void expect_place(const T* place) {
    if (place == nullptr) refuse(CUDNN_STATUS_BAD_PARAM_NULL_POINTER, "an argument is null");
}

/// Plans that ran, for CUDA graphs that replay them after their descriptors are gone.
void keep_for_ever(const std::shared_ptr<Plan>& plan) {
    static std::mutex mutex;
    static auto& kept = *new std::vector<std::shared_ptr<Plan>>;
    const std::lock_guard lock(mutex);
    if (std::find(kept.begin(), kept.end(), plan) == kept.end()) kept.push_back(plan);
}

void run_launch(void* data) {
    const auto& launch = *static_cast<const Launch*>(data);
    launch.plan->run(launch);
}

}  // namespace

extern "C" {

size_t cudnnGetVersion() { return CUDNN_VERSION; }
size_t cudnnGetCudartVersion() { return CUDART_VERSION; }

const char* cudnnGetErrorString(cudnnStatus_t status) {
    switch (static_cast<int>(CUDNN_STATUS_CATEGORY(status))) {
        case 0:
            return "CUDNN_STATUS_SUCCESS";
        case CUDNN_STATUS_BAD_PARAM:
            return "CUDNN_STATUS_BAD_PARAM";
        case CUDNN_STATUS_NOT_SUPPORTED:
            return "CUDNN_STATUS_NOT_SUPPORTED";
        case CUDNN_STATUS_INTERNAL_ERROR:
            return "CUDNN_STATUS_INTERNAL_ERROR";
        case CUDNN_STATUS_EXECUTION_FAILED:
            return "CUDNN_STATUS_EXECUTION_FAILED";
        default:
            return "CUDNN_STATUS_NOT_INITIALIZED";
    }
}

void cudnnGetLastErrorString(char* message, size_t size) {
    if (message == nullptr || size == 0) return;
    const size_t length = std::min(size - 1, last_error().size());
    std::memcpy(message, last_error().data(), length);
    message[length] = '\0';
    last_error().clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
    return answered("cudnnCreate", [&] {
        expect_place(handle);
        *handle = new cudnnContext;
    });
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    delete handle;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
    return answered("cudnnSetStream", [&] {
        expect_place(handle);
        handle->stream = stream;
    });
}

cudnnStatus_t cudnnGetStream(cudnnHandle_t handle, cudaStream_t* stream) {
    return answered("cudnnGetStream", [&] {
        expect_place(handle);
        expect_place(stream);
        *stream = handle->stream;
    });
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
    return answered("cudnnBackendCreateDescriptor", [&] {
        expect_place(descriptor);
        *descriptor = hold(type);
    });
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    return answered("cudnnBackendDestroyDescriptor", [&] { release(descriptor); });
}

cudnnStatus_t cudnnBackendInitialize(cudnnBackendDescriptor_t descriptor) {
    return answered("cudnnBackendInitialize", [&] { static_cast<void>(held(descriptor)); });
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    return answered("cudnnBackendFinalize", [&] { held(descriptor)->finalize(); });
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor, cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* elements) {
    return answered("cudnnBackendSetAttribute", [&] { held(descriptor)->set(name, type, count, elements); });
}

cudnnStatus_t cudnnBackendGetAttribute(const cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                       int64_t requested, int64_t* count, void* elements) {
    return answered("cudnnBackendGetAttribute",
                    [&] { held(descriptor)->get(name, type, requested, count, elements); });
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan,
                                  cudnnBackendDescriptor_t variant_pack) {
    return answered("cudnnBackendExecute", [&] {
        expect_place(handle);
        const auto& runs = held(plan)->as<std::shared_ptr<Plan>>();
        Launch* launch = runs->launch(held(variant_pack)->as<VariantPack>());
        keep_for_ever(runs);
        const cudaError_t queued = cudaLaunchHostFunc(handle->stream, run_launch, launch);
        if (queued != cudaSuccess)
            refuse(CUDNN_STATUS_EXECUTION_FAILED_CUDART, "the stream does not take it: error {}",
                   static_cast<int>(queued));
    });
}

}  // extern "C"
