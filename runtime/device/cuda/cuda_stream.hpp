// A queue of a GPU, and the events that order queues. Both belong to one device: any thread may ask an event,
// one thread at a time launches on a stream.
#pragma once

#include <cuda_runtime_api.h>

#include "runtime/device/device.hpp"

namespace trireme {

/// Knows the time only where it is to: without it is cheaper.
class CudaEvent final : public Event {
  public:
    /// Of the current device of the calling thread.
    explicit CudaEvent(bool timed);
    CudaEvent(const CudaEvent&) = delete;
    CudaEvent& operator=(const CudaEvent&) = delete;
    ~CudaEvent() override;

    /// Throws DeviceError when work before it failed.
    [[nodiscard]] bool done() override;
    void synchronize() override;
    [[nodiscard]] double seconds_since(Event& earlier) override;
    [[nodiscard]] cudaEvent_t native() const { return event_; }

  private:
    friend class CudaStream;
    int device_ = 0;
    cudaEvent_t event_ = nullptr;
    bool recorded_ = false;  ///< CUDA does not wait for an event that never was: it would hide a mistake
};

class CudaGraph final : public LaunchGraph {
  public:
    /// Takes `recorded` and makes it fit for launches on the current device.
    explicit CudaGraph(cudaGraph_t recorded);
    CudaGraph(const CudaGraph&) = delete;
    CudaGraph& operator=(const CudaGraph&) = delete;
    ~CudaGraph() override;
    [[nodiscard]] cudaGraphExec_t native() const { return executable_; }

  private:
    cudaGraphExec_t executable_ = nullptr;
};

class CudaStream final : public Stream {
  public:
    /// Of the current device of the calling thread. It does not wait for the default stream.
    CudaStream();
    CudaStream(const CudaStream&) = delete;
    CudaStream& operator=(const CudaStream&) = delete;
    ~CudaStream() override;

    void synchronize() override;
    void record(Event& event) override;
    void wait(Event& event) override;
    void copy(std::byte* to, const std::byte* from, Bytes size) override;
    void begin_capture() override;
    [[nodiscard]] std::unique_ptr<LaunchGraph> end_capture() override;
    void launch(LaunchGraph& graph) override;
    [[nodiscard]] cudaStream_t native() const { return stream_; }

  private:
    cudaStream_t stream_ = nullptr;
    bool capturing_ = false;
};

namespace cuda {
/// What CUDA calls this stream; the stream must be a CudaStream.
[[nodiscard]] cudaStream_t native(Stream& stream);
}  // namespace cuda

}  // namespace trireme
