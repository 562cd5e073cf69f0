// Elements of a tensor while a graph runs: fp32, dense, in the order of axes that the tensor's strides have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/emulated/cudnn/operations.hpp"

namespace trireme::emulated::dnn {

struct Values {
    Axes dims{};
    Axes strides{};
    std::vector<float> data;

    [[nodiscard]] float* at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
        return data.data() + a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
    }
    [[nodiscard]] const float* at(std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) const {
        return data.data() + a * strides[0] + b * strides[1] + c * strides[2] + d * strides[3];
    }
};

/// Axes from the outermost to the innermost, by strides.
[[nodiscard]] std::array<std::size_t, 4> order_of_axes(const Axes& strides);
/// Strides without gaps in that order.
[[nodiscard]] Axes dense_strides(const Axes& dims, const std::array<std::size_t, 4>& order);

/// Zeros, shaped as the tensor and laid out as it says.
[[nodiscard]] Values zeros_like(const Tensor& tensor);
[[nodiscard]] Values zeros(const Axes& dims, const std::array<std::size_t, 4>& order);
/// The same elements in another order of axes.
[[nodiscard]] Values reordered(const Values& values, const std::array<std::size_t, 4>& order);

/// From and to a tensor's memory, of its type and by its strides.
[[nodiscard]] Values load(const Tensor& tensor, const std::byte* memory);
void store(const Values& values, const Tensor& tensor, std::byte* memory);
/// Leaves of each value what the type can hold.
void round_to(Values& values, cudnnDataType_t type);
/// To 10 explicit bits, as tensor cores read fp32.
void round_to_tf32(Values& values);

/// f(index of its first element) for each row along the innermost axis of `order`.
template <class F>
void for_each_row(const Axes& dims, const std::array<std::size_t, 4>& order, const F& f) {
    for (std::int64_t i = 0; i < dims[order[0]]; ++i)
        for (std::int64_t j = 0; j < dims[order[1]]; ++j)
            for (std::int64_t k = 0; k < dims[order[2]]; ++k) {
                Axes index{};
                index[order[0]] = i;
                index[order[1]] = j;
                index[order[2]] = k;
                f(index);
            }
}

[[nodiscard]] inline std::int64_t offset_of(const Axes& index, const Axes& strides) {
    return index[0] * strides[0] + index[1] * strides[1] + index[2] * strides[2] + index[3] * strides[3];
}

}  // namespace trireme::emulated::dnn
