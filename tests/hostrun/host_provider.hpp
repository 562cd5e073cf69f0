// Our own kernels as a provider on the host-run device.
#pragma once

#include "runtime/available_backends.hpp"
#include "runtime/kernels/cuda/nodes/own_kernels.hpp"
#include "tests/hostrun/host_launch.hpp"

namespace trireme::hostrun {

struct HostRun {
    HostRun() {
        auto own = std::make_unique<HostRunDevice>();
        device = own.get();
        backend.device = std::move(own);
    }

    Backend backend;
    HostRunDevice* device;
    cuda::OwnProvider<HostLaunch> provider{DeviceModel{}};
};

}  // namespace trireme::hostrun
