// The table of the build with CUDA.
#include "comm/communicator.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"
#include "runtime/device/cuda/cuda_device.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"
#include "runtime/host_backends.hpp"
#include "runtime/kernels/cublaslt/cublaslt_provider.hpp"
#include "runtime/kernels/cuda/cuda_provider.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"
#include "runtime/kernels/cudnn/cudnn_provider.hpp"
#include "runtime/kernels/cudnn/plan_tuner.hpp"
#include "runtime/kernels/rules/cudnn_chain_plans.hpp"

namespace trireme {
namespace {

/// In the order in which they are asked. None takes everything: a node that nobody takes ends the job with
/// what each of them said.
std::vector<std::unique_ptr<KernelProvider>> providers_of(const DeviceModel& model) {
    std::vector<std::unique_ptr<KernelProvider>> providers;
    // Another plan may give other bits: canonical jobs run the library's own choice.
    providers.push_back(
        std::make_unique<CudnnProvider>(model, model.deterministic ? nullptr : cudnn::measured_plans()));
    providers.push_back(std::make_unique<CublasltProvider>(model));
    providers.push_back(make_cuda_provider(model));
    return providers;
}

Backend cuda_backend(int threads, const Numerics& numerics) {
    auto device = std::make_unique<CudaDevice>(comm::launcher_local_rank());
    DeviceModel model = cuda_model(device->sm(), numerics);
    model.cudnn = static_cast<int>(cuda::cudnn_version());
    Backend backend;
    backend.providers = providers_of(model);
    backend.fuses_feed_forward = true;
    backend.joins_norms = cudnn::joins_norms;
    backend.device = std::move(device);
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

Backend make_backend(const std::string& device_kind, int threads, const Numerics& numerics) {
    const std::string kind = chosen(device_kind);
    if (kind == "cuda") return cuda_backend(threads, numerics);
    if (auto backend = make_host_backend(kind, threads, numerics)) return std::move(*backend);
    refuse_device_kind(device_kind);
}

std::vector<std::pair<std::string, std::string>> backend_versions() {
    auto versions = host_backend_versions();
    for (auto& library : cuda::library_versions()) versions.push_back(std::move(library));
    return versions;
}

}  // namespace trireme
