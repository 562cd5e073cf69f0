// Captures of streams.
#include <algorithm>

#include "tests/emulated/runtime/call.hpp"
#include "tests/emulated/runtime/capture_info.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::Capture;
using trireme::emulated::GraphBody;

namespace {

cudaError_t begin(Call& here, cudaStream_t stream, cudaStreamCaptureMode mode) {
    CUstream_st* known = here.stream(stream);
    if (known == nullptr) return cudaErrorInvalidResourceHandle;
    if (known->legacy)
        return here.refuse(cudaErrorStreamCaptureUnsupported, "the legacy stream cannot be captured");
    if (known->capture != nullptr)
        return here.refuse(cudaErrorIllegalState, "the stream is being captured already");
    auto capture = std::make_shared<Capture>();
    capture->id = ++here.all.numbers;
    capture->mode = mode;
    capture->thread = trireme::emulated::this_thread();
    capture->origin = known;
    capture->graph = new CUgraph_st;
    capture->graph->capturing = true;
    here.all.handles.insert(capture->graph);
    here.all.captures.push_back(capture);
    known->capture = std::move(capture);
    known->front.clear();
    return cudaSuccess;
}

/// True where all nodes lie in front of the nodes `front`: no stream has been left behind.
bool joined(const GraphBody& body, const std::vector<std::size_t>& front) {
    std::vector<bool> reached(body.nodes.size());
    std::vector<std::size_t> open = front;
    while (!open.empty()) {
        const std::size_t node = open.back();
        open.pop_back();
        if (reached[node]) continue;
        reached[node] = true;
        open.insert(open.end(), body.nodes[node].after.begin(), body.nodes[node].after.end());
    }
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

/// Takes all of its streams out of the capture. What was captured is the caller's, or nobody's.
void finish(Call& here, Capture& capture, bool keep) {
    capture.ended = true;
    capture.graph->capturing = false;
    if (!keep) {
        capture.graph->alive = false;
        capture.graph->body = {};
    }
    const auto of_this = [&](const auto& other) { return other.get() == &capture; };
    for (CUstream_st* stream : here.all.streams) {
        if (of_this(stream->capture)) stream->capture = nullptr;
    }
    std::erase_if(here.all.captures, of_this);
}

cudaError_t end(Call& here, cudaStream_t stream, cudaGraph_t* graph) {
    CUstream_st* known = here.stream(stream);
    if (known == nullptr) return cudaErrorInvalidResourceHandle;
    const std::shared_ptr<Capture> capture = known->capture;
    if (capture == nullptr) return here.refuse(cudaErrorIllegalState, "the stream is not being captured");
    if (capture->origin != known)
        return here.refuse(cudaErrorStreamCaptureUnmatched, "the capture began in another stream");
    if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != trireme::emulated::this_thread())
        return here.refuse(cudaErrorStreamCaptureWrongThread, "the capture began in another thread");
    *graph = nullptr;
    cudaError_t status = cudaSuccess;
    if (!capture->valid) {
        status = here.refuse(cudaErrorStreamCaptureInvalidated, "an earlier error has ended the capture");
    } else if (!joined(capture->graph->body, known->front)) {
        status =
            here.refuse(cudaErrorStreamCaptureUnjoined,
                        "another stream was taken into the capture, and its work not joined to this one");
    } else {
        *graph = capture->graph;
    }
    finish(here, *capture, status == cudaSuccess);
    return status;
}

std::optional<cudaError_t> implicit(const Call& here, const CUstream_st& stream) {
    if (!stream.legacy) return std::nullopt;
    for (const CUstream_st* other : here.all.streams) {
        if (other->capture != nullptr && other->blocking() && other->device == stream.device)
            return cudaErrorStreamCaptureImplicit;
    }
    return std::nullopt;
}

cudaStreamCaptureStatus status_of(const CUstream_st& stream) {
    if (stream.capture == nullptr) return cudaStreamCaptureStatusNone;
    return stream.capture->valid ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusInvalidated;
}

cudaError_t tell(Call& here, cudaStream_t stream, cudaStreamCaptureStatus* status, unsigned long long* id,
                 cudaGraph_t* graph, bool more) {
    const CUstream_st* known = here.stream(stream);
    if (known == nullptr) return cudaErrorInvalidResourceHandle;
    if (const auto refused = implicit(here, *known)) return *refused;
    *status = status_of(*known);
    if (*status != cudaStreamCaptureStatusActive) return cudaSuccess;
    if (more) return here.refuse(cudaErrorNotSupported, "the nodes of a capture are not shown");
    if (id != nullptr) *id = known->capture->id;
    if (graph != nullptr) *graph = known->capture->graph;
    return cudaSuccess;
}

}  // namespace

cudaError_t trireme::emulated::capture_info(cudaStream_t stream, cudaStreamCaptureStatus* status,
                                            unsigned long long* id, cudaGraph_t* graph, bool more) {
    return call("cudaStreamGetCaptureInfo",
                [&](Call& here) { return tell(here, stream, status, id, graph, more); });
}

extern "C" {

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    return call("cudaStreamBeginCapture", [&](Call& here) { return begin(here, stream, mode); });
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
    return call("cudaStreamEndCapture", [&](Call& here) { return end(here, stream, graph); });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
    return call("cudaStreamIsCapturing",
                [&](Call& here) { return tell(here, stream, status, nullptr, nullptr, false); });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
    return call("cudaThreadExchangeStreamCaptureMode", [&](Call&) {
        std::swap(*mode, trireme::emulated::capture_mode_of_thread());
        return cudaSuccess;
    });
}

}  // extern "C"
