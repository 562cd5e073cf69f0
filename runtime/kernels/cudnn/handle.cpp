#include "runtime/kernels/cudnn/handle.hpp"

#include <cudnn.h>
#include <fmt/format.h>

#include "runtime/core/error.hpp"
#include "runtime/device/cuda/cuda_stream.hpp"
#include "runtime/device/cuda/imports/libraries.hpp"
#include "runtime/device/cuda_choice.hpp"

namespace trireme::cudnn {
namespace {

void check(cudnnStatus_t status, std::string_view action) {
    if (status == CUDNN_STATUS_SUCCESS) return;
    throw DeviceError(fmt::format("cuDNN failed while {}: {}", action, cudnnGetErrorString(status)));
}

}  // namespace

Handle::Handle() {
    const auto version = static_cast<std::int64_t>(cudnnGetVersion());
    if (const std::string why = cuda::refusal_of_cudnn(version, cuda::cudnn_library().path()); !why.empty())
        throw DeviceError(why);
    check(cudnnCreate(&handle_), "starting on a GPU");
}

Handle::~Handle() { static_cast<void>(cudnnDestroy(handle_)); }

cudnnContext* Handle::on(Stream& stream) {
    check(cudnnSetStream(handle_, cuda::native(stream)), "taking a stream");
    return handle_;
}

}  // namespace trireme::cudnn
