// What finalised descriptors mean: tensors, and the operations of a graph with their tensors by role.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <cudnn.h>

namespace trireme::emulated::dnn {

using Axes = std::array<std::int64_t, 4>;
using Plane = std::array<std::int64_t, 2>;

/// A tensor of four axes. One that is virtual lies nowhere: its strides matter to a reshape alone.
struct Tensor {
    std::int64_t uid = 0;
    cudnnDataType_t type = CUDNN_DATA_FLOAT;
    Axes dims{};
    Axes strides{};  ///< elements
    std::int64_t alignment = 0;
    bool is_virtual = false;
    bool by_value = false;  ///< its one element is read on the host, when a plan is executed

    [[nodiscard]] std::int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
    /// From the first element to the last, in elements.
    [[nodiscard]] std::int64_t extent() const;
    /// Whether no two elements share a place.
    [[nodiscard]] bool is_injective() const;
    bool operator==(const Tensor&) const = default;
};
using TensorPtr = std::shared_ptr<const Tensor>;

[[nodiscard]] std::int64_t size_of(cudnnDataType_t type);
[[nodiscard]] bool is_16_bit(cudnnDataType_t type);
/// "uid 3 [2,4,8,8]"
[[nodiscard]] std::string text_of(const Tensor& tensor);

/// Of a convolution's descriptor.
struct Placement {
    Plane before{};  ///< padding
    Plane behind{};
    Plane stride{};
    Plane dilation{};
};

/// Cross-correlation over NCHW and KCRS axes: y = x * w. The two gradients write x and w.
struct Convolution {
    enum class Pass : std::uint8_t { forward, data, filter };
    Pass pass = Pass::forward;
    Placement at;
    TensorPtr x;
    TensorPtr w;
    TensorPtr y;
    float alpha = 1;  ///< result = alpha * convolution + beta * what the result's memory held
    float beta = 0;

    [[nodiscard]] std::int64_t groups() const { return x->dims[1] / w->dims[1]; }
    [[nodiscard]] const TensorPtr& result() const {
        return pass == Pass::forward ? y : pass == Pass::data ? x : w;
    }
};

/// Of a pointwise descriptor.
struct PointwiseRule {
    cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
    double lower_clip = 0;
    double upper_clip = 0;
    double lower_slope = 0;
    std::int64_t axis = -1;
};

struct Pointwise {
    PointwiseRule rule;
    TensorPtr x;
    TensorPtr b;   ///< of modes with two operands
    TensorPtr t;   ///< the predicate of a selection
    TensorPtr dy;  ///< of a gradient
    TensorPtr y;   ///< dx of a gradient
};

/// c = a b over the last two axes; the first two are batches, and one of a batch serves all.
struct Matmul {
    TensorPtr a;
    TensorPtr b;
    TensorPtr c;
};

/// Over the axes in which y has one place.
struct Reduction {
    cudnnReduceTensorOp_t op = CUDNN_REDUCE_TENSOR_ADD;
    TensorPtr x;
    TensorPtr y;
};

/// The elements of x as they lie, seen with the dimensions and strides of y.
struct Reshape {
    TensorPtr x;
    TensorPtr y;
};

/// Sums over all axes but the channel's, of x and of its squares.
struct ChannelSums {
    TensorPtr x;
    TensorPtr sum;
    TensorPtr squares;
};

/// What the backward pass of a batch norm needs of its gradient. With u = (x - mean) inverse_deviation and m
/// values a channel:
///     d_scale = sum(dy u)    d_bias = sum(dy)
///     dx = eq_dy dy + eq_x x + eq_bias,  which is scale inverse_deviation (dy - d_bias / m - u d_scale / m)
struct NormGradients {
    TensorPtr x, dy, mean, inverse_deviation, scale;
    TensorPtr d_scale, d_bias, eq_dy, eq_x, eq_bias;
};

using OperationBody =
    std::variant<Convolution, Pointwise, Matmul, Reduction, Reshape, ChannelSums, NormGradients>;

struct Operation {
    std::string name;
    OperationBody body;
    std::vector<TensorPtr> reads;
    std::vector<TensorPtr> writes;
};

}  // namespace trireme::emulated::dnn
