#include "tests/emulated/cudnn/values.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/core/bfloat16.hpp"
#include "runtime/core/float16.hpp"
#include "tests/emulated/tf32.hpp"

namespace trireme::emulated::dnn {
namespace {

template <class T>
const T* typed(const std::byte* memory) {
    return reinterpret_cast<const T*>(memory);
}
template <class T>
T* typed(std::byte* memory) {
    return reinterpret_cast<T*>(memory);
}

/// to[i * to_stride] = convert(from[i * from_stride])
template <class To, class From, class F>
void copy_row(To* to, std::int64_t to_stride, const From* from, std::int64_t from_stride, std::int64_t count,
              const F& convert) {
    if (to_stride == 1 && from_stride == 1) {
        for (std::int64_t i = 0; i < count; ++i) to[i] = convert(from[i]);
        return;
    }
    for (std::int64_t i = 0; i < count; ++i) to[i * to_stride] = convert(from[i * from_stride]);
}

template <class To, class From, class F>
void copy_all(const Axes& dims, To* to, const Axes& to_strides, const From* from, const Axes& from_strides,
              const F& convert) {
    const auto order = order_of_axes(to_strides);
    const std::size_t inner = order[3];
    for_each_row(dims, order, [&](const Axes& index) {
        copy_row(to + offset_of(index, to_strides), to_strides[inner], from + offset_of(index, from_strides),
                 from_strides[inner], dims[inner], convert);
    });
}

float as_it_is(float value) { return value; }

}  // namespace

std::array<std::size_t, 4> order_of_axes(const Axes& strides) {
    std::array<std::size_t, 4> order{0, 1, 2, 3};
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return strides[a] > strides[b]; });
    return order;
}

Axes dense_strides(const Axes& dims, const std::array<std::size_t, 4>& order) {
    Axes strides{};
    std::int64_t next = 1;
    for (std::size_t i = 4; i-- > 0;) {
        strides[order[i]] = next;
        next *= dims[order[i]];
    }
    return strides;
}

Values zeros(const Axes& dims, const std::array<std::size_t, 4>& order) {
    Values made{dims, dense_strides(dims, order), {}};
    made.data.assign(static_cast<std::size_t>(dims[0] * dims[1] * dims[2] * dims[3]), 0.0F);
    return made;
}

Values zeros_like(const Tensor& tensor) { return zeros(tensor.dims, order_of_axes(tensor.strides)); }

Values reordered(const Values& values, const std::array<std::size_t, 4>& order) {
    Values made = zeros(values.dims, order);
    copy_all(values.dims, made.data.data(), made.strides, values.data.data(), values.strides, as_it_is);
    return made;
}

Values load(const Tensor& tensor, const std::byte* memory) {
    Values values = zeros_like(tensor);
    const auto read = [&](const auto* from, const auto& convert) {
        copy_all(tensor.dims, values.data.data(), values.strides, from, tensor.strides, convert);
    };
    if (tensor.type == CUDNN_DATA_HALF) {
        read(typed<std::uint16_t>(memory), float_of_f16);
    } else if (tensor.type == CUDNN_DATA_BFLOAT16) {
        read(typed<std::uint16_t>(memory), float_of_bf16);
    } else {
        read(typed<float>(memory), as_it_is);
    }
    return values;
}

void store(const Values& values, const Tensor& tensor, std::byte* memory) {
    const auto write = [&](auto* to, const auto& convert) {
        copy_all(tensor.dims, to, tensor.strides, values.data.data(), values.strides, convert);
    };
    if (tensor.type == CUDNN_DATA_HALF) {
        write(typed<std::uint16_t>(memory), f16_of_float);
    } else if (tensor.type == CUDNN_DATA_BFLOAT16) {
        write(typed<std::uint16_t>(memory), bf16_of_float);
    } else {
        write(typed<float>(memory), as_it_is);
    }
}

void round_to(Values& values, cudnnDataType_t type) {
    if (type == CUDNN_DATA_HALF) {
        for (float& value : values.data) value = float_of_f16(f16_of_float(value));
    } else if (type == CUDNN_DATA_BFLOAT16) {
        for (float& value : values.data) value = float_of_bf16(bf16_of_float(value));
    } else if (type == CUDNN_DATA_INT32) {
        for (float& value : values.data) value = std::trunc(value);
    } else if (type == CUDNN_DATA_BOOLEAN) {
        for (float& value : values.data) value = value != 0 ? 1.0F : 0.0F;
    }
}

void round_to_tf32(Values& values) {
    for (float& value : values.data) value = rounded_to_tf32(value);
}

}  // namespace trireme::emulated::dnn
