#include "tests/emulated/runtime/call.hpp"

#include <atomic>

namespace trireme::emulated {
namespace {

thread_local cudaError_t last_error = cudaSuccess;
thread_local int device_of_thread = 0;
thread_local cudaStreamCaptureMode mode_of_thread = cudaStreamCaptureModeGlobal;

}  // namespace

void Call::complain(std::string_view text) const {
    fmt::print(stderr, "emulated CUDA: {}: {}\n", name_, text);
}

std::optional<cudaError_t> Call::unsafe() const {
    const cudaStreamCaptureMode mode = capture_mode_of_thread();
    if (mode == cudaStreamCaptureModeRelaxed) return std::nullopt;
    bool forbidden = false;
    for (const std::shared_ptr<Capture>& capture : all.captures) {
        const bool mine = capture->thread == this_thread() && capture->mode != cudaStreamCaptureModeRelaxed;
        const bool everybodys =
            mode == cudaStreamCaptureModeGlobal && capture->mode == cudaStreamCaptureModeGlobal;
        if (!mine && !everybodys) continue;
        invalidate(*capture);
        forbidden = true;
    }
    if (!forbidden) return std::nullopt;
    return refuse(cudaErrorStreamCaptureUnsupported, "not allowed while a stream is captured");
}

std::optional<cudaError_t> Call::while_anyone_captures() const {
    if (all.captures.empty()) return std::nullopt;
    for (const std::shared_ptr<Capture>& capture : all.captures) invalidate(*capture);
    return refuse(cudaErrorStreamCaptureUnsupported,
                  "it would wait for a stream that is captured, and so for nothing that runs");
}

cudaStream_t Call::stream(cudaStream_t handle) const {
    if (handle == nullptr || handle == cudaStreamLegacy)
        return &all.legacy[static_cast<std::size_t>(current_device())];
    if (handle == cudaStreamPerThread) {
        complain("the default stream of each thread is not emulated");
        return nullptr;
    }
    return alive(handle, "the stream");
}

cudaError_t remember(cudaError_t status) {
    // "Not ready" is an answer and no error: CUDA's own runtime does not keep it either.
    if (status != cudaSuccess && status != cudaErrorNotReady) last_error = status;
    return status;
}

cudaError_t refusal(std::string_view name) {
    if (runs_work()) {
        fmt::print(stderr, "emulated CUDA: {}: called by a function that runs in a stream\n", name);
        return cudaErrorNotPermitted;
    }
    const cudaError_t status = process().start();
    if (status == cudaErrorInitializationError) {
        fmt::print(stderr, "emulated CUDA: {}: {} is no number\n", name, *process().settings.wrong);
    }
    return status;
}

cudaError_t fault(const Call& call) { return call.all.scheduler.fault(); }

int current_device() { return device_of_thread; }

void make_current(int device) { device_of_thread = device; }

std::uint64_t this_thread() {
    static std::atomic<std::uint64_t> threads{0};
    thread_local const std::uint64_t number = ++threads;
    return number;
}

cudaStreamCaptureMode& capture_mode_of_thread() { return mode_of_thread; }

}  // namespace trireme::emulated

using trireme::emulated::last_error;

extern "C" {

cudaError_t cudaGetLastError() {
    const cudaError_t status = last_error;
    last_error = cudaSuccess;
    return status;
}

cudaError_t cudaPeekAtLastError() { return last_error; }

}  // extern "C"
