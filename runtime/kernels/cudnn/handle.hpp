// cuDNN's handle: what launches and plans are made through.
#pragma once

#include "runtime/device/device.hpp"

struct cudnnContext;

namespace trireme::cudnn {

/// Of one device and one thread at a time.
class Handle {
  public:
    /// On the current device of the calling thread. Throws DeviceError where cuDNN is not found, is older
    /// than 9.13 (its gradients of attention are wrong), or does not start.
    Handle();
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle();

    [[nodiscard]] cudnnContext* get() const { return handle_; }
    /// The handle, whose launches go to the stream from now on.
    [[nodiscard]] cudnnContext* on(Stream& stream);

  private:
    cudnnContext* handle_ = nullptr;
};

}  // namespace trireme::cudnn
