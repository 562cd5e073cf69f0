#include "runtime/device/cuda/cuda_stream.hpp"

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/check.hpp"

namespace trireme {
namespace {

CudaEvent& cuda_event(Event& event) { return static_cast<CudaEvent&>(event); }

}  // namespace

CudaEvent::CudaEvent(bool timed) {
    cuda::check(cudaGetDevice(&device_), "asking for the device");
    cuda::check(cudaEventCreateWithFlags(&event_, timed ? cudaEventDefault : cudaEventDisableTiming),
                "making an event");
}

CudaEvent::~CudaEvent() { static_cast<void>(cudaEventDestroy(event_)); }

bool CudaEvent::done() {
    ensure(recorded_, "an event that is asked was recorded");
    // Whoever asks may be a thread that never chose a device: CUDA would start one for it, the first of the
    // host, with hundreds of megabytes.
    cuda::check(cudaSetDevice(device_), "choosing a device");
    const cudaError_t status = cudaEventQuery(event_);
    if (status == cudaErrorNotReady) return false;
    cuda::check(status, "running the work before an event");
    return true;
}

void CudaEvent::synchronize() {
    ensure(recorded_, "an event that is waited for was recorded");
    cuda::check(cudaSetDevice(device_), "choosing a device");
    cuda::check(cudaEventSynchronize(event_), "running the work before an event");
}

double CudaEvent::seconds_since(Event& earlier) {
    ensure(recorded_ && cuda_event(earlier).recorded_, "events that are compared were recorded");
    cuda::check(cudaSetDevice(device_), "choosing a device");
    float milliseconds = 0;
    cuda::check(cudaEventElapsedTime(&milliseconds, cuda_event(earlier).event_, event_),
                "asking for the time between events");
    return static_cast<double>(milliseconds) * 1e-3;
}

CudaGraph::CudaGraph(cudaGraph_t recorded) {
    const cudaError_t status = cudaGraphInstantiate(&executable_, recorded, 0);
    static_cast<void>(cudaGraphDestroy(recorded));
    cuda::check(status, "making a graph of a step's launches");
}

CudaGraph::~CudaGraph() { static_cast<void>(cudaGraphExecDestroy(executable_)); }

CudaStream::CudaStream() {
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}

CudaStream::~CudaStream() {
    static_cast<void>(cudaStreamSynchronize(stream_));
    static_cast<void>(cudaStreamDestroy(stream_));
}

void CudaStream::synchronize() { cuda::check(cudaStreamSynchronize(stream_), "running a stream's work"); }

void CudaStream::record(Event& event) {
    // Inside a capture an ordinary record would only order the streams of the capture.
    const unsigned kind = capturing_ ? cudaEventRecordExternal : cudaEventRecordDefault;
    cuda::check(cudaEventRecordWithFlags(cuda_event(event).event_, stream_, kind), "recording an event");
    cuda_event(event).recorded_ = true;
}

void CudaStream::wait(Event& event) {
    ensure(cuda_event(event).recorded_, "an event that is waited for was recorded");
    const unsigned kind = capturing_ ? cudaEventWaitExternal : cudaEventWaitDefault;
    cuda::check(cudaStreamWaitEvent(stream_, cuda_event(event).event_, kind), "waiting for an event");
}

void CudaStream::copy(std::byte* to, const std::byte* from, Bytes size) {
    if (size.value == 0) return;
    cuda::check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(size.value), cudaMemcpyDefault, stream_),
                "copying between host and device");
}

void CudaStream::begin_capture() {
    // Of this thread alone: others ask events and copy meanwhile.
    cuda::check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "capturing a stream");
    capturing_ = true;
}

std::unique_ptr<LaunchGraph> CudaStream::end_capture() {
    capturing_ = false;
    cudaGraph_t recorded = nullptr;
    cuda::check(cudaStreamEndCapture(stream_, &recorded), "capturing a step's launches");
    auto graph = std::make_unique<CudaGraph>(recorded);
    cuda::check(cudaGraphUpload(graph->native(), stream_), "sending a graph to the GPU");
    return graph;
}

void CudaStream::launch(LaunchGraph& graph) {
    cuda::check(cudaGraphLaunch(static_cast<CudaGraph&>(graph).native(), stream_), "launching a graph");
}

namespace cuda {

cudaStream_t native(Stream& stream) { return static_cast<CudaStream&>(stream).native(); }

}  // namespace cuda
}  // namespace trireme
