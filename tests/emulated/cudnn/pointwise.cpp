#include <cmath>

#include "tests/emulated/cudnn/compute.hpp"
#include "tests/emulated/cudnn/refusals.hpp"

namespace trireme::emulated::dnn {
namespace {

/// An operand along the rows of a result; what is absent reads as zeros.
class Operand {
  public:
    Operand(const Values* values, std::size_t inner) {
        if (values == nullptr) return;
        data_ = values->data.data();
        for (std::size_t axis = 0; axis < 4; ++axis)
            strides_[axis] = values->dims[axis] == 1 ? 0 : values->strides[axis];
        step_ = strides_[inner];
    }
    [[nodiscard]] const float* row(const Axes& index) const { return data_ + offset_of(index, strides_); }
    [[nodiscard]] std::int64_t step() const { return step_; }

  private:
    static constexpr float zero = 0;
    const float* data_ = &zero;
    Axes strides_{};
    std::int64_t step_ = 0;
};

/// y = f(x, b, t) element by element. Rows whose operands lie side by side are a loop that is vectorised.
template <class F>
void map(Values& y, const Values& x, const Values* b, const Values* t, const F& f) {
    const auto order = order_of_axes(y.strides);
    const std::size_t inner = order[3];
    const Operand of_x(&x, inner);
    const Operand of_b(b, inner);
    const Operand of_t(t, inner);
    const std::int64_t count = y.dims[inner];
    for_each_row(y.dims, order, [&](const Axes& index) {
        float* to = y.data.data() + offset_of(index, y.strides);
        const float* from = of_x.row(index);
        const float* second = of_b.row(index);
        const float* third = of_t.row(index);
        if (of_x.step() == 1 && of_b.step() == 1 && of_t.step() == 0) {
            for (std::int64_t i = 0; i < count; ++i) to[i] = f(from[i], second[i], *third);
        } else if (of_x.step() == 1 && of_b.step() == 0 && of_t.step() == 0) {
            for (std::int64_t i = 0; i < count; ++i) to[i] = f(from[i], *second, *third);
        } else {
            for (std::int64_t i = 0; i < count; ++i)
                to[i] = f(from[i * of_x.step()], second[i * of_b.step()], third[i * of_t.step()]);
        }
    });
}

void make_index(Values& y, std::int64_t axis) {
    const auto along = static_cast<std::size_t>(axis);
    const auto order = order_of_axes(y.strides);
    const std::size_t inner = order[3];
    for_each_row(y.dims, order, [&](const Axes& index) {
        float* to = y.data.data() + offset_of(index, y.strides);
        for (std::int64_t i = 0; i < y.dims[inner]; ++i)
            to[i] = static_cast<float>(along == inner ? i : index[along]);
    });
}

/// Between the clips x itself, above the upper one that, and below the lower one a line of the slope. A NaN
/// stays one.
float relu(float x, float lower, float upper, float slope) {
    if (x > upper) return upper;
    if (x <= lower) return lower + slope * (x - lower);
    return x;
}

/// The gradient passes where relu's input lay between the clips.
float relu_gradient(float dy, float x, float lower, float upper, float slope) {
    if (x > upper) return 0;
    return x <= lower ? slope * dy : dy;
}

float flag(bool holds) { return holds ? 1.0F : 0.0F; }

}  // namespace

Values compute(const Pointwise& p, const Values& x, const Values* b, const Values* t, const Values* dy) {
    Values y = zeros_like(*p.y);
    const auto lower = static_cast<float>(p.rule.lower_clip);
    const auto upper = static_cast<float>(p.rule.upper_clip);
    const auto slope = static_cast<float>(p.rule.lower_slope);
    const auto of_one = [&](const auto& f) {
        map(y, x, nullptr, nullptr, [&](float u, float, float) { return f(u); });
    };
    const auto of_two = [&](const auto& f) {
        map(y, x, b, nullptr, [&](float u, float v, float) { return f(u, v); });
    };
    switch (p.rule.mode) {
        case CUDNN_POINTWISE_ADD:
            of_two([](float u, float v) { return u + v; });
            break;
        case CUDNN_POINTWISE_SUB:
            of_two([](float u, float v) { return u - v; });
            break;
        case CUDNN_POINTWISE_MUL:
            of_two([](float u, float v) { return u * v; });
            break;
        case CUDNN_POINTWISE_DIV:
            of_two([](float u, float v) { return u / v; });
            break;
        case CUDNN_POINTWISE_CMP_GE:
            of_two([](float u, float v) { return flag(u >= v); });
            break;
        case CUDNN_POINTWISE_CMP_GT:
            of_two([](float u, float v) { return flag(u > v); });
            break;
        case CUDNN_POINTWISE_CMP_LE:
            of_two([](float u, float v) { return flag(u <= v); });
            break;
        case CUDNN_POINTWISE_CMP_LT:
            of_two([](float u, float v) { return flag(u < v); });
            break;
        case CUDNN_POINTWISE_EXP:
            of_one([](float u) { return std::exp(u); });
            break;
        case CUDNN_POINTWISE_LOG:
            of_one([](float u) { return std::log(u); });
            break;
        case CUDNN_POINTWISE_IDENTITY:
            of_one([](float u) { return u; });
            break;
        case CUDNN_POINTWISE_RELU_FWD:
            of_one([&](float u) { return relu(u, lower, upper, slope); });
            break;
        case CUDNN_POINTWISE_RELU_BWD:
            map(y, x, dy, nullptr,
                [&](float u, float v, float) { return relu_gradient(v, u, lower, upper, slope); });
            break;
        case CUDNN_POINTWISE_GEN_INDEX:
            make_index(y, p.rule.axis);
            break;
        case CUDNN_POINTWISE_BINARY_SELECT:
            map(y, x, b, t, [](float u, float v, float chosen) { return chosen != 0 ? u : v; });
            break;
        default:
            refuse(CUDNN_STATUS_INTERNAL_ERROR, "pointwise mode {} was let through",
                   static_cast<int>(p.rule.mode));
    }
    return y;
}

}  // namespace trireme::emulated::dnn
