// What every function of CUDA begins and ends with: the mutex, the errors that any call may give, and the
// last error of the thread.
#pragma once

#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "tests/emulated/runtime/state.hpp"

namespace trireme::emulated {

/// One call of a function, with the mutex held.
class Call {
  public:
    Call(std::string_view name, Process& process) : name_(name), all(process), lock(process.mutex) {}

    /// One line on stderr that says what the caller did wrong; gives `status` back.
    template <class... Args>
    cudaError_t refuse(cudaError_t status, fmt::format_string<Args...> text, Args&&... args) const {
        complain(fmt::format(text, std::forward<Args>(args)...));
        return status;
    }
    void complain(std::string_view text) const;

    /// The error of a call that CUDA calls potentially unsafe (cudaThreadExchangeStreamCaptureMode), where a
    /// capture forbids it to this thread: the captures that do so are invalid from now on.
    [[nodiscard]] std::optional<cudaError_t> unsafe() const;
    /// Nothing of the kind may be called while any capture is under way.
    [[nodiscard]] std::optional<cudaError_t> while_anyone_captures() const;

    /// Null, said why, for a stream that is none. A null handle is the legacy stream of the current device.
    [[nodiscard]] cudaStream_t stream(cudaStream_t handle) const;
    /// `handle`, or null, said why, where it was never made or is destroyed.
    template <class Handle>
    [[nodiscard]] Handle alive(Handle handle, std::string_view what) const {
        const bool known = handle != nullptr && all.handles.contains(handle);
        if (known && handle->alive) return handle;
        complain(fmt::format("{} {}", what, known ? "was destroyed already" : "is none"));
        return nullptr;
    }

  private:
    std::string_view name_;

  public:
    Process& all;
    Lock lock;
};

/// Keeps an error as the thread's last one.
cudaError_t remember(cudaError_t status);
/// The reason why no function can work now, or cudaSuccess.
[[nodiscard]] cudaError_t refusal(std::string_view name);
/// What its work has failed with; then every call does.
[[nodiscard]] cudaError_t fault(const Call& call);

[[nodiscard]] int current_device();
void make_current(int device);
/// A number of the calling thread's own.
[[nodiscard]] std::uint64_t this_thread();
[[nodiscard]] cudaStreamCaptureMode& capture_mode_of_thread();

/// `body(call)` as a function of CUDA.
template <class Body>
cudaError_t call(std::string_view name, const Body& body) {
    if (const cudaError_t status = refusal(name); status != cudaSuccess) return remember(status);
    Call here(name, process());
    if (const cudaError_t status = fault(here); status != cudaSuccess) return remember(status);
    return remember(body(here));
}

/// Puts work behind all that is in a stream: to run, or into the graph that the stream captures.
cudaError_t put(const Call& call, CUstream_st& stream, Work work);
/// The same of a node of a graph; the stream captures.
cudaError_t put_node(const Call& call, CUstream_st& stream, Node node);
/// Adds work, and `also` before it, at the end of a stream that does not capture.
cudaError_t queue(const Call& call, CUstream_st& stream, Work work, const TaskRef& also = nullptr);
/// A capture is over before its end.
void invalidate(Capture& capture);

}  // namespace trireme::emulated
