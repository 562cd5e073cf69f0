#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/device_step_kernels.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"

namespace trireme::cuda {

std::unique_ptr<StepKernels> make_step_kernels(const StepParts& parts) {
    return std::make_unique<DeviceStepKernels<DeviceLaunch>>(parts);
}

}  // namespace trireme::cuda
