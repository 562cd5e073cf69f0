#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/device_step_kernels.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"

namespace trireme::cuda {

using Launches = StepLaunches<DeviceLaunch>;

std::unique_ptr<StepKernels> make_step_kernels(const StepParts& parts) {
    return std::make_unique<DeviceStepKernels<DeviceLaunch>>(parts);
}
void exchange(Stream& stream, float* a, float* b, std::int64_t elements) {
    Launches::exchange(stream, a, b, elements);
}
void cast(Stream& stream, const Source& from, const Sink& to, std::int64_t elements) {
    Launches::cast(stream, from, to, elements);
}
void pack_weights(Stream& stream, const WeightShape& shape, const float* masters, const Sink& packed) {
    Launches::pack_weights(stream, shape, masters, packed);
}
void unpack_gradient(Stream& stream, const WeightShape& shape, const Source& packed, float* gradient) {
    Launches::unpack_gradient(stream, shape, packed, gradient);
}

}  // namespace trireme::cuda
