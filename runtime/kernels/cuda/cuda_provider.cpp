#include "runtime/kernels/cuda/cuda_provider.hpp"

#include "runtime/kernels/cuda/nodes/own_kernels.hpp"

namespace trireme {
namespace cuda {

struct DeviceLaunch;  // device_launch.cuh; the kernels of nodes are instantiated for it in the .cu files

}  // namespace cuda

std::unique_ptr<KernelProvider> make_cuda_provider(DeviceModel device) {
    return std::make_unique<cuda::OwnProvider<cuda::DeviceLaunch>>(std::move(device));
}

}  // namespace trireme
