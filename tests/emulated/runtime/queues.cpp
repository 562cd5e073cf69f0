// How work gets into streams, and in front of what it waits.
#include <algorithm>

#include "tests/emulated/runtime/call.hpp"

namespace trireme::emulated {
namespace {

/// The legacy stream and the blocking streams of its device wait for each other.
std::vector<TaskRef> before(const Process& all, const CUstream_st& stream) {
    std::vector<TaskRef> tasks{stream.last};
    if (stream.blocking()) tasks.push_back(all.legacy[static_cast<std::size_t>(stream.device)].last);
    if (!stream.legacy) return tasks;
    for (const CUstream_st* other : all.streams) {
        if (other->blocking() && other->device == stream.device) tasks.push_back(other->last);
    }
    return tasks;
}

/// A blocking stream that is captured makes the legacy stream unusable.
std::optional<cudaError_t> legacy_refused(const Call& call, const CUstream_st& stream) {
    if (!stream.legacy) return std::nullopt;
    for (const CUstream_st* other : call.all.streams) {
        if (other->capture == nullptr || !other->blocking() || other->device != stream.device) continue;
        invalidate(*other->capture);
        return call.refuse(cudaErrorStreamCaptureImplicit,
                           "the legacy stream would wait for a blocking stream that is captured");
    }
    return std::nullopt;
}

}  // namespace

cudaError_t queue(const Call& call, CUstream_st& stream, Work work, const TaskRef& also) {
    if (const auto refused = legacy_refused(call, stream)) return *refused;
    std::vector<TaskRef> tasks = before(call.all, stream);
    tasks.push_back(also);
    stream.last = call.all.scheduler.add(call.all.mutex, stream.number, tasks, std::move(work));
    return cudaSuccess;
}

cudaError_t put_node(const Call& call, CUstream_st& stream, Node node) {
    Capture& capture = *stream.capture;
    if (!capture.valid)
        return call.refuse(cudaErrorStreamCaptureInvalidated, "an earlier error has ended the capture");
    std::vector<Node>& nodes = capture.graph->body.nodes;
    node.after = stream.front;
    stream.front = {nodes.size()};
    nodes.push_back(std::move(node));
    return cudaSuccess;
}

cudaError_t put(const Call& call, CUstream_st& stream, Work work) {
    if (stream.capture == nullptr) return queue(call, stream, std::move(work));
    Node node;
    node.work = std::move(work);
    return put_node(call, stream, std::move(node));
}

void invalidate(Capture& capture) { capture.valid = false; }

}  // namespace trireme::emulated
