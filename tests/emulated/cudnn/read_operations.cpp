// Operations from their descriptors, and whether the tensors of each fit each other.
#include <algorithm>

#include "tests/emulated/cudnn/descriptors.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

TensorPtr tensor(const Descriptor& d, cudnnBackendAttributeName_t name) { return d.linked<TensorPtr>(name); }
TensorPtr tensor_or_none(const Descriptor& d, cudnnBackendAttributeName_t name) {
    return d.has(name) ? tensor(d, name) : nullptr;
}

template <class... T>
void require_shape(bool holds, fmt::format_string<T...> text, T&&... values) {
    if (!holds) refuse(CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH, text, std::forward<T>(values)...);
}

/// Output extents are those that input, filter and placement give.
void check(const Convolution& c) {
    const Axes& x = c.x->dims;
    const Axes& w = c.w->dims;
    const Axes& y = c.y->dims;
    require_shape(x[0] == y[0], "a convolution of {} gives {}", text_of(*c.x), text_of(*c.y));
    require_shape(w[0] == y[1], "a convolution with filter {} gives {}", text_of(*c.w), text_of(*c.y));
    require_shape(x[1] % w[1] == 0 && w[0] % (x[1] / w[1]) == 0,
                  "channels of {} and filter {} do not come to groups", text_of(*c.x), text_of(*c.w));
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::int64_t padded = x[axis + 2] + c.at.before[axis] + c.at.behind[axis];
        const std::int64_t taps = (w[axis + 2] - 1) * c.at.dilation[axis] + 1;
        require_shape(padded >= taps, "filter {} is larger than the padded {}", text_of(*c.w), text_of(*c.x));
        const std::int64_t places = (padded - taps) / c.at.stride[axis] + 1;
        require_shape(places == y[axis + 2],
                      "a convolution of {} with {} has {} places along axis {}, not {}", text_of(*c.x),
                      text_of(*c.w), places, axis, y[axis + 2]);
    }
    require_known(c.beta == 0 || !c.result()->is_virtual, "beta reads {}, which lies nowhere",
                  text_of(*c.result()));
}

struct ConvolutionNames {
    cudnnBackendAttributeName_t x, w, y, placement, alpha, beta;
};

Operation read_convolution(const Descriptor& d, Convolution::Pass pass, const ConvolutionNames& names) {
    Convolution c;
    c.pass = pass;
    c.at = d.linked<Placement>(names.placement);
    c.x = tensor(d, names.x);
    c.w = tensor(d, names.w);
    c.y = tensor(d, names.y);
    c.alpha = d.value<float>(names.alpha);
    c.beta = d.value<float>(names.beta);
    check(c);
    Operation made{"convolution", c, {}, {c.result()}};
    for (const TensorPtr& operand : {c.x, c.w, c.y})
        if (operand != c.result() || c.beta != 0) made.reads.push_back(operand);
    return made;
}

enum class Form : std::uint8_t { of_one, of_two, selection, gradient };

Form form_of(cudnnPointwiseMode_t mode) {
    switch (mode) {
        case CUDNN_POINTWISE_EXP:
        case CUDNN_POINTWISE_LOG:
        case CUDNN_POINTWISE_IDENTITY:
        case CUDNN_POINTWISE_RELU_FWD:
        case CUDNN_POINTWISE_GEN_INDEX:
            return Form::of_one;
        case CUDNN_POINTWISE_ADD:
        case CUDNN_POINTWISE_MUL:
        case CUDNN_POINTWISE_SUB:
        case CUDNN_POINTWISE_DIV:
        case CUDNN_POINTWISE_CMP_GE:
        case CUDNN_POINTWISE_CMP_GT:
        case CUDNN_POINTWISE_CMP_LE:
        case CUDNN_POINTWISE_CMP_LT:
            return Form::of_two;
        case CUDNN_POINTWISE_BINARY_SELECT:
            return Form::selection;
        case CUDNN_POINTWISE_RELU_BWD:
            return Form::gradient;
        default:
            refuse(CUDNN_STATUS_NOT_SUPPORTED, "pointwise mode {} is not known here", static_cast<int>(mode));
    }
}

/// Each axis of an operand is the result's or one, and each of the result is an operand's.
void check_broadcast(const std::vector<TensorPtr>& operands, const Tensor& result) {
    for (std::size_t axis = 0; axis < 4; ++axis) {
        std::int64_t largest = 1;
        for (const TensorPtr& operand : operands) {
            const std::int64_t extent = operand->dims[axis];
            require_shape(extent == 1 || extent == result.dims[axis], "{} does not spread over {}",
                          text_of(*operand), text_of(result));
            largest = std::max(largest, extent);
        }
        require_shape(largest == result.dims[axis], "no operand of a pointwise operation is as large as {}",
                      text_of(result));
    }
}

Operation read_pointwise(const Descriptor& d) {
    Pointwise p;
    p.rule = d.linked<PointwiseRule>(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    const Form form = form_of(p.rule.mode);
    const bool gradient = form == Form::gradient;
    for (const auto name : {CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2})
        require_known(d.value_or<float>(name, 1) == 1, "a pointwise operation scales its operands");
    p.x = tensor(d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
    p.b = tensor_or_none(d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    p.t = tensor_or_none(d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    p.dy = tensor_or_none(d, CUDNN_ATTR_OPERATION_POINTWISE_DYDESC);
    const TensorPtr y = tensor_or_none(d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
    const TensorPtr dx = tensor_or_none(d, CUDNN_ATTR_OPERATION_POINTWISE_DXDESC);
    const auto mode = static_cast<int>(p.rule.mode);
    require((p.b != nullptr) == (form == Form::of_two || form == Form::selection),
            "pointwise mode {} has an operand too many or too few", mode);
    require((p.t != nullptr) == (form == Form::selection), "pointwise mode {} and a predicate", mode);
    require((p.dy != nullptr) == gradient && (dx != nullptr) == gradient && (y == nullptr) == gradient,
            "pointwise mode {} has the tensors of another", mode);
    p.y = gradient ? dx : y;
    std::vector<TensorPtr> reads;
    for (const TensorPtr& operand : {p.x, p.b, p.t, p.dy})
        if (operand != nullptr) reads.push_back(operand);
    check_broadcast(reads, *p.y);
    require(p.t == nullptr || p.t->type == CUDNN_DATA_BOOLEAN, "{} selects and is no predicate",
            p.t == nullptr ? "" : text_of(*p.t));
    return {"pointwise", p, reads, {p.y}};
}

Operation read_matmul(const Descriptor& d) {
    static_cast<void>(d.linked<MatmulRule>(CUDNN_ATTR_OPERATION_MATMUL_DESC));
    const Matmul m{tensor(d, CUDNN_ATTR_OPERATION_MATMUL_ADESC), tensor(d, CUDNN_ATTR_OPERATION_MATMUL_BDESC),
                   tensor(d, CUDNN_ATTR_OPERATION_MATMUL_CDESC)};
    const Axes& a = m.a->dims;
    const Axes& b = m.b->dims;
    const Axes& c = m.c->dims;
    require_shape(a[2] == c[2] && b[3] == c[3] && a[3] == b[2], "a product of {} and {} gives {}",
                  text_of(*m.a), text_of(*m.b), text_of(*m.c));
    for (std::size_t axis = 0; axis < 2; ++axis) {
        require_known(a[axis] == c[axis] && b[axis] == c[axis], "a product of {} and {} gives {}",
                      text_of(*m.a), text_of(*m.b), text_of(*m.c));
    }
    return {"matmul", m, {m.a, m.b}, {m.c}};
}

Operation read_reduction(const Descriptor& d) {
    const Reduction r{d.linked<ReductionRule>(CUDNN_ATTR_OPERATION_REDUCTION_DESC).op,
                      tensor(d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC),
                      tensor(d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC)};
    for (std::size_t axis = 0; axis < 4; ++axis) {
        const std::int64_t left = r.y->dims[axis];
        require_shape(left == 1 || left == r.x->dims[axis], "a reduction of {} gives {}", text_of(*r.x),
                      text_of(*r.y));
    }
    return {"reduction", r, {r.x}, {r.y}};
}

Operation read_reshape(const Descriptor& d) {
    const Reshape r{tensor(d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC),
                    tensor(d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC)};
    require_shape(r.x->elements() == r.y->elements() && r.x->extent() == r.y->extent(),
                  "{} is seen as {}, which has other elements", text_of(*r.x), text_of(*r.y));
    require(r.x->is_injective() && r.y->is_injective(), "{} is seen as {} by strides that overlap",
            text_of(*r.x), text_of(*r.y));
    return {"reshape", r, {r.x}, {r.y}};
}

/// A number a channel, in fp32.
void expect_of_channels(const Tensor& vector, const Tensor& image) {
    const Axes wanted{1, image.dims[1], 1, 1};
    require_shape(vector.dims == wanted, "{} is no vector over the channels of {}", text_of(vector),
                  text_of(image));
    require_known(vector.type == CUDNN_DATA_FLOAT, "{} is not in fp32", text_of(vector));
}

Operation read_channel_sums(const Descriptor& d) {
    const ChannelSums s{tensor(d, CUDNN_ATTR_OPERATION_GENSTATS_XDESC),
                        tensor(d, CUDNN_ATTR_OPERATION_GENSTATS_SUMDESC),
                        tensor(d, CUDNN_ATTR_OPERATION_GENSTATS_SQSUMDESC)};
    require_known(
        d.value<cudnnGenStatsMode_t>(CUDNN_ATTR_OPERATION_GENSTATS_MODE) == CUDNN_GENSTATS_SUM_SQSUM,
        "statistics other than sums");
    // cudnn-frontend writes its own number of x's type here (1.32: HALF is 3), which is none of fp32; cuDNN
    // takes it, and sums in fp32.
    const auto type = d.value<cudnnDataType_t>(CUDNN_ATTR_OPERATION_GENSTATS_MATH_PREC);
    constexpr auto half_of_frontend = static_cast<cudnnDataType_t>(3);
    require_known(type == CUDNN_DATA_FLOAT || (type == half_of_frontend && s.x->type == CUDNN_DATA_HALF),
                  "statistics of {} in type {}", text_of(*s.x), static_cast<int>(type));
    expect_of_channels(*s.sum, *s.x);
    expect_of_channels(*s.squares, *s.x);
    return {"gen_stats", s, {s.x}, {s.sum, s.squares}};
}

Operation read_norm_gradients(const Descriptor& d) {
    require_known(d.value<cudnnDataType_t>(CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MATH_PREC) == CUDNN_DATA_FLOAT,
                  "gradients of a norm in another type than fp32");
    NormGradients n;
    n.x = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_X_DESC);
    n.dy = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DY_DESC);
    n.mean = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_MEAN_DESC);
    n.inverse_deviation = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_INVSTD_DESC);
    n.scale = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_BN_SCALE_DESC);
    n.d_scale = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_SCALE_DESC);
    n.d_bias = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_DBN_BIAS_DESC);
    n.eq_dy = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_DY_SCALE_DESC);
    n.eq_x = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_X_SCALE_DESC);
    n.eq_bias = tensor(d, CUDNN_ATTR_OPERATION_BN_BWD_WEIGHTS_EQ_BIAS);
    require_shape(n.x->dims == n.dy->dims, "a norm of {} has the gradient {}", text_of(*n.x), text_of(*n.dy));
    for (const TensorPtr& vector :
         {n.mean, n.inverse_deviation, n.scale, n.d_scale, n.d_bias, n.eq_dy, n.eq_x, n.eq_bias}) {
        expect_of_channels(*vector, *n.x);
    }
    return {"bn_bwd_weights",
            n,
            {n.x, n.dy, n.mean, n.inverse_deviation, n.scale},
            {n.d_scale, n.d_bias, n.eq_dy, n.eq_x, n.eq_bias}};
}

}  // namespace

Operation operation_of(const Descriptor& d) {
    switch (d.type()) {
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
            return read_convolution(
                d, Convolution::Pass::forward,
                {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA});
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
            return read_convolution(
                d, Convolution::Pass::data,
                {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                 CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA});
        case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
            return read_convolution(d, Convolution::Pass::filter,
                                    {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                                     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA});
        case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
            return read_pointwise(d);
        case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
            return read_matmul(d);
        case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
            return read_reduction(d);
        case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
            return read_reshape(d);
        case CUDNN_BACKEND_OPERATION_GEN_STATS_DESCRIPTOR:
            return read_channel_sums(d);
        case CUDNN_BACKEND_OPERATION_BN_BWD_WEIGHTS_DESCRIPTOR:
            return read_norm_gradients(d);
        default:
            refuse(CUDNN_STATUS_NOT_SUPPORTED, "{} is not known here", d.name());
    }
}

}  // namespace trireme::emulated::dnn
