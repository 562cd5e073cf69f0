// The table of the build with CUDA.
#include "comm/communicator.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"
#include "runtime/host_backends.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"

namespace trireme {
namespace {

Backend cuda_backend(int threads) {
    Backend backend;
    backend.device = std::make_unique<CudaDevice>(comm::launcher_local_rank());
    backend.step_kernels = cuda::make_step_kernels;
    cpu::use_kernel_threads(threads);  // what stays on the host runs on them
    return backend;
}

/// auto is a GPU where one is to be seen. What is wrong with it is then an error, since a job that trains
/// on the cores of a GPU host by mistake is worse than one that does not start.
std::string chosen(const std::string& device_kind) {
    if (device_kind != "auto") return device_kind;
    return cuda::ask_driver().state == cuda::DriverAnswer::State::ready ? "cuda" : "cpu";
}

}  // namespace

Backend make_backend(const std::string& device_kind, int threads) {
    const std::string kind = chosen(device_kind);
    if (kind == "cuda") return cuda_backend(threads);
    if (auto backend = make_host_backend(kind, threads)) return std::move(*backend);
    refuse_device_kind(device_kind);
}

std::vector<std::pair<std::string, std::string>> backend_versions() {
    auto versions = host_backend_versions();
    for (auto& library : cuda::library_versions()) versions.push_back(std::move(library));
    return versions;
}

}  // namespace trireme
