#include "tests/emulated/cudnn/operations.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme::emulated::dnn {

std::int64_t Tensor::extent() const {
    std::int64_t last = 0;
    for (std::size_t axis = 0; axis < dims.size(); ++axis) last += (dims[axis] - 1) * strides[axis];
    return last + 1;
}

bool Tensor::is_injective() const {
    std::vector<std::pair<std::int64_t, std::int64_t>> axes;  // stride, extent
    for (std::size_t axis = 0; axis < dims.size(); ++axis)
        if (dims[axis] > 1) axes.emplace_back(strides[axis], dims[axis]);
    std::sort(axes.begin(), axes.end());
    std::int64_t reached = 0;
    for (const auto& [stride, extent] : axes) {
        if (stride <= reached) return false;
        reached += stride * (extent - 1);
    }
    return true;
}

std::int64_t size_of(cudnnDataType_t type) {
    switch (type) {
        case CUDNN_DATA_FLOAT:
        case CUDNN_DATA_INT32:
            return 4;
        case CUDNN_DATA_HALF:
        case CUDNN_DATA_BFLOAT16:
            return 2;
        case CUDNN_DATA_BOOLEAN:
            return 1;
        default:
            return 0;
    }
}

bool is_16_bit(cudnnDataType_t type) { return type == CUDNN_DATA_HALF || type == CUDNN_DATA_BFLOAT16; }

std::string text_of(const Tensor& tensor) {
    return fmt::format("uid {} {} strides {}", tensor.uid, tensor.dims, tensor.strides);
}

}  // namespace trireme::emulated::dnn
