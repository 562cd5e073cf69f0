// A device runs kernels in order on streams and owns memory. On CPU a stream runs each kernel at once, on the
// calling thread with the device's kernel threads; on CUDA it is an asynchronous queue.
#pragma once

#include <memory>
#include <string>

#include "runtime/core/memory_space.hpp"

namespace trireme {

class Stream {
  public:
    virtual ~Stream() = default;
    /// Returns when everything launched so far has finished.
    virtual void synchronize() = 0;
};

class Device {
  public:
    virtual ~Device() = default;
    /// "cpu", "cuda", "reference"
    [[nodiscard]] virtual std::string kind() const = 0;
    /// What `inspect`, logs and summaries show: processor, instruction set, threads.
    [[nodiscard]] virtual std::string describe() const = 0;
    [[nodiscard]] virtual MemorySpace& memory() = 0;
    [[nodiscard]] virtual std::unique_ptr<Stream> make_stream() = 0;
};

}  // namespace trireme
