#include "runtime/device/device.hpp"

#include "runtime/core/error.hpp"

namespace trireme {

SharedMemory Device::share(Bytes) { throw InternalError("memory of this device is not shared with others"); }

std::byte* Device::open_shared(const std::string&) {
    throw InternalError("this device maps no memory of others");
}

}  // namespace trireme
