// The table of the CPU build.
#include "runtime/core/error.hpp"
#include "runtime/host_backends.hpp"

namespace trireme {

Backend make_backend(const std::string& device_kind, int threads, const Numerics& numerics) {
    if (auto backend = make_host_backend(device_kind == "auto" ? "cpu" : device_kind, threads, numerics))
        return std::move(*backend);
    if (device_kind == "cuda") {
        throw DeviceError(
            "job.device is cuda, but this build has no CUDA back end: set job.device to cpu (or auto), or "
            "use a build of Trireme that was configured with CUDA (cmake --preset cuda)");
    }
    refuse_device_kind(device_kind);
}

std::vector<std::pair<std::string, std::string>> backend_versions() { return host_backend_versions(); }

}  // namespace trireme
