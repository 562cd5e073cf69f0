// Events. A record is a point in a stream; a wait takes the record that was the latest when the wait was
// called.
#include "tests/emulated/runtime/call.hpp"

using trireme::emulated::Call;
using trireme::emulated::call;
using trireme::emulated::invalidate;
using trireme::emulated::Node;

namespace {

cudaError_t make_event(Call& here, cudaEvent_t* event, unsigned flags) {
    constexpr unsigned known = cudaEventBlockingSync | cudaEventDisableTiming;
    if (event == nullptr || (flags & ~known) != 0)
        return here.refuse(cudaErrorInvalidValue, "no place for the event, or flags of {:#x}", flags);
    auto* made = new CUevent_st;
    made->device = trireme::emulated::current_device();
    made->flags = flags;
    here.all.handles.insert(made);
    *event = made;
    return cudaSuccess;
}

cudaError_t record_in_capture(Call& here, CUevent_st& event, CUstream_st& stream, unsigned flags) {
    if (flags == cudaEventRecordExternal) {
        Node node;
        node.kind = Node::Kind::record;
        node.event = &event;
        return put_node(here, stream, std::move(node));
    }
    if (!stream.capture->valid)
        return here.refuse(cudaErrorStreamCaptureInvalidated, "an earlier error has ended the capture");
    event.capture = stream.capture;
    event.front = stream.front;
    event.record = nullptr;
    event.recorded = true;
    return cudaSuccess;
}

cudaError_t record(Call& here, cudaEvent_t event, cudaStream_t stream, unsigned flags) {
    CUstream_st* known = here.stream(stream);
    if (known == nullptr || here.alive(event, "the event") == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags > cudaEventRecordExternal) return here.refuse(cudaErrorInvalidValue, "flags of {:#x}", flags);
    if (known->device != event->device)
        return here.refuse(cudaErrorInvalidResourceHandle, "event and stream are of two devices");
    if (known->capture != nullptr) return record_in_capture(here, *event, *known, flags);
    if (flags == cudaEventRecordExternal)
        return here.refuse(cudaErrorInvalidValue, "an external record, and the stream is not being captured");
    const cudaError_t status = queue(here, *known, nullptr);
    if (status != cudaSuccess) return status;
    event->record = known->last;
    event->capture = nullptr;
    event->recorded = true;
    return cudaSuccess;
}

/// Streams of one capture are joined: the next node comes behind those of both.
void join(CUstream_st& stream, const CUevent_st& event) {
    stream.front.insert(stream.front.end(), event.front.begin(), event.front.end());
}

cudaError_t wait_in_capture(Call& here, CUstream_st& stream, CUevent_st& event, unsigned flags) {
    if (flags == cudaEventWaitExternal) {
        if (event.capture != nullptr) {
            invalidate(*stream.capture);
            return here.refuse(cudaErrorCapturedEvent, "an external wait for an event that was captured");
        }
        Node node;
        node.kind = Node::Kind::wait;
        node.event = &event;
        return put_node(here, stream, std::move(node));
    }
    if (!stream.capture->valid)
        return here.refuse(cudaErrorStreamCaptureInvalidated, "an earlier error has ended the capture");
    if (event.capture == stream.capture) {
        join(stream, event);
        return cudaSuccess;
    }
    invalidate(*stream.capture);
    if (event.capture == nullptr)
        return here.refuse(cudaErrorStreamCaptureIsolation,
                           "a captured stream waits, without the external flag, for an event of outside");
    if (event.capture->ended)
        return here.refuse(cudaErrorCapturedEvent, "the event was recorded in a capture that has ended");
    invalidate(*event.capture);
    return here.refuse(cudaErrorStreamCaptureMerge, "event and stream are of two captures");
}

/// Waiting for an event of a capture takes a stream into it.
cudaError_t wait_for_captured(Call& here, CUstream_st& stream, CUevent_st& event) {
    trireme::emulated::Capture& capture = *event.capture;
    if (capture.ended)
        return here.refuse(cudaErrorCapturedEvent, "the event was recorded in a capture that has ended");
    if (!capture.valid)
        return here.refuse(cudaErrorStreamCaptureInvalidated, "an earlier error has ended the capture");
    if (stream.legacy) {
        invalidate(capture);
        return here.refuse(cudaErrorStreamCaptureImplicit, "the legacy stream cannot be captured");
    }
    stream.capture = event.capture;
    stream.front.clear();
    join(stream, event);
    return cudaSuccess;
}

/// The host may not ask for an event that was recorded in a capture.
std::optional<cudaError_t> unaskable(const Call& here, CUevent_st& event) {
    if (event.capture != nullptr) {
        invalidate(*event.capture);
        return here.refuse(cudaErrorCapturedEvent, "the event was last recorded in a capture");
    }
    return here.unsafe();
}

}  // namespace

extern "C" {

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
    return call("cudaEventCreateWithFlags", [&](Call& here) { return make_event(here, event, flags); });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
    return call("cudaEventCreate", [&](Call& here) { return make_event(here, event, cudaEventDefault); });
}

/// Those who wait for its last record go on waiting.
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    return call("cudaEventDestroy", [&](Call& here) {
        if (here.alive(event, "the event") == nullptr) return cudaErrorInvalidResourceHandle;
        event->alive = false;
        return cudaSuccess;
    });
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    return call("cudaEventRecord",
                [&](Call& here) { return record(here, event, stream, cudaEventRecordDefault); });
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
    return call("cudaEventRecordWithFlags", [&](Call& here) { return record(here, event, stream, flags); });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    return call("cudaStreamWaitEvent", [&](Call& here) {
        CUstream_st* known = here.stream(stream);
        if (known == nullptr || here.alive(event, "the event") == nullptr)
            return cudaErrorInvalidResourceHandle;
        if (flags > cudaEventWaitExternal) return here.refuse(cudaErrorInvalidValue, "flags of {:#x}", flags);
        if (known->capture != nullptr) return wait_in_capture(here, *known, *event, flags);
        if (flags == cudaEventWaitExternal)
            return here.refuse(cudaErrorInvalidValue,
                               "an external wait, and the stream is not being captured");
        if (event->capture != nullptr) return wait_for_captured(here, *known, *event);
        if (event->record == nullptr) return cudaSuccess;  // it stands for no work
        return queue(here, *known, nullptr, event->record);
    });
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
    return call("cudaEventQuery", [&](Call& here) {
        if (here.alive(event, "the event") == nullptr) return cudaErrorInvalidResourceHandle;
        if (const auto refused = unaskable(here, *event)) return *refused;
        return here.all.scheduler.ended(event->record) ? cudaSuccess : cudaErrorNotReady;
    });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    return call("cudaEventSynchronize", [&](Call& here) {
        if (here.alive(event, "the event") == nullptr) return cudaErrorInvalidResourceHandle;
        if (const auto refused = unaskable(here, *event)) return *refused;
        here.all.scheduler.wait(here.lock, event->record);
        return fault(here);
    });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
    return call("cudaEventElapsedTime", [&](Call& here) {
        for (const cudaEvent_t event : {start, end}) {
            if (here.alive(event, "an event") == nullptr) return cudaErrorInvalidResourceHandle;
            if (event->capture != nullptr)
                return here.refuse(cudaErrorCapturedEvent, "an event was last recorded in a capture");
            if (!event->recorded || (event->flags & cudaEventDisableTiming) != 0)
                return here.refuse(cudaErrorInvalidResourceHandle,
                                   "an event was never recorded, or made without time");
        }
        if (start->device != end->device)
            return here.refuse(cudaErrorInvalidResourceHandle, "the events are of two devices");
        if (!here.all.scheduler.ended(start->record) || !here.all.scheduler.ended(end->record))
            return cudaErrorNotReady;
        const auto passed = end->record->ended - start->record->ended;
        *milliseconds = std::chrono::duration<float, std::milli>(passed).count();
        return cudaSuccess;
    });
}

}  // extern "C"
