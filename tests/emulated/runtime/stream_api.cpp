// Streams.
#include <algorithm>

#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;

namespace {

cudaError_t make_stream(Call& here, cudaStream_t* stream, unsigned flags) {
    if (stream == nullptr || (flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0)
        return here.refuse(cudaErrorInvalidValue, "no place for the stream, or flags of {:#x}", flags);
    auto* made = new CUstream_st;
    made->number = here.all.numbers++;
    made->device = trireme::emulated::current_device();
    made->flags = flags;
    here.all.handles.insert(made);
    here.all.streams.push_back(made);
    *stream = made;
    return cudaSuccess;
}

/// The host may not ask for what is in a stream that is captured: nothing of it is on its way.
std::optional<cudaError_t> unaskable(const Call& here, CUstream_st& stream) {
    if (stream.capture != nullptr) {
        trireme::emulated::invalidate(*stream.capture);
        return here.refuse(cudaErrorStreamCaptureUnsupported, "the stream is being captured");
    }
    return here.unsafe();
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
    return call("cudaStreamCreateWithFlags", [&](Call& here) { return make_stream(here, stream, flags); });
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
    return call("cudaStreamCreate", [&](Call& here) { return make_stream(here, stream, cudaStreamDefault); });
}

/// What is in it runs on.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    return call("cudaStreamDestroy", [&](Call& here) {
        if (here.alive(stream, "the stream") == nullptr) return cudaErrorInvalidResourceHandle;
        if (stream->capture != nullptr) {
            trireme::emulated::invalidate(*stream->capture);
            return here.refuse(cudaErrorStreamCaptureUnsupported, "the stream is being captured");
        }
        stream->alive = false;
        std::erase(here.all.streams, stream);
        // The legacy stream still waits for what a blocking one has under way.
        if (stream->blocking() && !here.all.scheduler.ended(stream->last)) {
            CUstream_st& legacy = here.all.legacy[static_cast<std::size_t>(stream->device)];
            return queue(here, legacy, nullptr, stream->last);
        }
        return cudaSuccess;
    });
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    return call("cudaStreamSynchronize", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        if (const auto refused = unaskable(here, *known)) return *refused;
        // The legacy stream stands for the blocking ones, too.
        if (known->legacy) {
            if (const cudaError_t status = queue(here, *known, nullptr); status != cudaSuccess) return status;
        }
        here.all.scheduler.wait(here.lock, known->last);
        return fault(here);
    });
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
    return call("cudaStreamQuery", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        if (const auto refused = unaskable(here, *known)) return *refused;
        return here.all.scheduler.ended(known->last) ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned* flags) {
    return call("cudaStreamGetFlags", [&](Call& here) {
        const CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        *flags = known->flags;
        return cudaSuccess;
    });
}

cudaError_t cudaDeviceSynchronize() {
    return call("cudaDeviceSynchronize", [&](Call& here) {
        if (const auto refused = here.while_anyone_captures()) return *refused;
        here.all.scheduler.wait_for_all(here.lock);
        return fault(here);
    });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
    return call("cudaLaunchHostFunc", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr) return cudaErrorInvalidResourceHandle;
        if (function == nullptr) return here.refuse(cudaErrorInvalidValue, "no function");
        return put(here, *known, [function, data] { function(data); });
    });
}

}  // extern "C"
