#include "runtime/device/cuda/cuda_stream.hpp"

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/check.hpp"

namespace trireme {
namespace {

CudaEvent& cuda_event(Event& event) { return static_cast<CudaEvent&>(event); }

}  // namespace

CudaEvent::CudaEvent() {
    cuda::check(cudaGetDevice(&device_), "asking for the device");
    cuda::check(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "making an event");
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

CudaStream::CudaStream() {
    cuda::check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
}

CudaStream::~CudaStream() {
    static_cast<void>(cudaStreamSynchronize(stream_));
    static_cast<void>(cudaStreamDestroy(stream_));
}

void CudaStream::synchronize() { cuda::check(cudaStreamSynchronize(stream_), "running a stream's work"); }

void CudaStream::record(Event& event) {
    cuda::check(cudaEventRecord(cuda_event(event).event_, stream_), "recording an event");
    cuda_event(event).recorded_ = true;
}

void CudaStream::wait(Event& event) {
    ensure(cuda_event(event).recorded_, "an event that is waited for was recorded");
    cuda::check(cudaStreamWaitEvent(stream_, cuda_event(event).event_, 0), "waiting for an event");
}

void CudaStream::copy(std::byte* to, const std::byte* from, Bytes size) {
    if (size.value == 0) return;
    cuda::check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(size.value), cudaMemcpyDefault, stream_),
                "copying between host and device");
}

namespace cuda {

cudaStream_t native(Stream& stream) { return static_cast<CudaStream&>(stream).native(); }

}  // namespace cuda
}  // namespace trireme
