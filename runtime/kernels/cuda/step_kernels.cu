#include "runtime/kernels/cuda/device_launch.cuh"
#include "runtime/kernels/cuda/nodes/step.hpp"
#include "runtime/kernels/cuda/step_kernels.hpp"

namespace trireme::cuda {

using Launches = StepLaunches<DeviceLaunch>;

void add_in_place(Stream& stream, const InPlaceSum& sum) { Launches::add_in_place(stream, sum); }
void clear(Stream& stream, float* values, std::int64_t elements) {
    Launches::clear(stream, values, elements);
}
void record_loss(Stream& stream, const RecordLoss& record) { Launches::record_loss(stream, record); }
void update(Stream& stream, const UpdatePlan& plan, const UpdateMemory& memory, const UpdateArenas& arenas) {
    Launches::update(stream, plan, memory, arenas);
}
void update_running(Stream& stream, std::int64_t norms, const UpdateRunning& update) {
    Launches::update_running(stream, norms, update);
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
