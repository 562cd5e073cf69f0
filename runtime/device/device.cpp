#include "runtime/device/device.hpp"

#include "runtime/core/error.hpp"

namespace trireme {
namespace {

constexpr const char* no_graphs = "work is captured on a device that can";
constexpr const char* no_times = "time is told by timed events of an asynchronous device";

}  // namespace

double Event::seconds_since(Event&) { throw InternalError(no_times); }

void Stream::begin_capture() { throw InternalError(no_graphs); }
std::unique_ptr<LaunchGraph> Stream::end_capture() { throw InternalError(no_graphs); }
void Stream::launch(LaunchGraph&) { throw InternalError(no_graphs); }

void drain_stream(Stream& stream) noexcept {
    try {
        stream.synchronize();
    } catch (const Error&) {  // see the declaration
    }
}

std::unique_ptr<Event> Device::make_timed_event() { throw InternalError(no_times); }

SharedMemory Device::share(Bytes) { throw InternalError("memory of this device is not shared with others"); }

std::byte* Device::open_shared(const std::string&) {
    throw InternalError("this device maps no memory of others");
}

}  // namespace trireme
