// A capture of a stream's launches that an exception may leave: what was recorded is dropped then.
#pragma once

#include <memory>
#include <utility>

#include "runtime/core/error.hpp"
#include "runtime/device/device.hpp"

namespace trireme {

class Capture {
  public:
    explicit Capture(Stream& stream) : stream_(&stream) { stream.begin_capture(); }
    ~Capture() {
        if (stream_ == nullptr) return;
        try {
            static_cast<void>(stream_->end_capture());
        } catch (const Error&) {
            // The error that is on its way says more.
        }
    }
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    [[nodiscard]] std::unique_ptr<LaunchGraph> end() {
        return std::exchange(stream_, nullptr)->end_capture();
    }

  private:
    Stream* stream_;
};

}  // namespace trireme
