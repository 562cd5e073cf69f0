// A whole back end on the host-run device, as a GPU has one: chains with norms as graphs for cuDNN, products
// as steps for cuBLASLt, our own bodies, and for convolutions, which are a library's, the reference.
#pragma once

#include <memory>
#include <vector>

#include "runtime/available_backends.hpp"
#include "runtime/kernels/cuda/nodes/device_step_kernels.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"
#include "runtime/kernels/reference/reference_provider.hpp"
#include "tests/hostrun/host_cublaslt.hpp"
#include "tests/hostrun/host_cudnn.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::hostrun {

[[nodiscard]] inline std::vector<std::unique_ptr<KernelProvider>> host_run_providers() {
    std::vector<std::unique_ptr<KernelProvider>> providers;
    auto chains = std::make_unique<HostCudnn>();
    chains->chains_alone = true;
    providers.push_back(std::move(chains));
    providers.push_back(std::make_unique<HostCublaslt>());
    providers.push_back(std::make_unique<cuda::OwnProvider<HostLaunch>>(DeviceModel{}));
    providers.push_back(std::make_unique<ReferenceProvider>());
    return providers;
}

/// `Launch`: of the step's kernels.
template <class Launch>
[[nodiscard]] std::unique_ptr<StepKernels> device_step_kernels(const StepParts& parts) {
    return std::make_unique<cuda::DeviceStepKernels<Launch>>(parts);
}

[[nodiscard]] inline Backend host_run_backend(Order order = Order::ascending) {
    Backend backend;
    auto device = std::make_unique<HostRunDevice>();
    device->order = order;
    backend.device = std::move(device);
    backend.providers = host_run_providers();
    backend.step_kernels = device_step_kernels<HostLaunch>;
    return backend;
}

}  // namespace trireme::hostrun
