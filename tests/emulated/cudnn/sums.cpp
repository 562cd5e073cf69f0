// Products of attention, reductions, views, and the sums of batch norms.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/emulated/cudnn/compute.hpp"
#include "tests/emulated/cudnn/products.hpp"

namespace trireme::emulated::dnn {
namespace {

/// Bits that depend on the run and the place alone.
std::uint64_t mixed(std::uint64_t value) {
    value ^= value >> 33U;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33U;
    return value;
}

/// f(channel, offset) for all elements of an image.
template <class F>
void for_each_of_channels(const Values& x, const F& f) {
    const auto order = order_of_axes(x.strides);
    const std::size_t inner = order[3];
    for_each_row(x.dims, order, [&](const Axes& first) {
        for (std::int64_t i = 0; i < x.dims[inner]; ++i) {
            const std::int64_t channel = inner == 1 ? i : first[1];
            f(static_cast<std::size_t>(channel),
              static_cast<std::size_t>(offset_of(first, x.strides) + i * x.strides[inner]));
        }
    });
}

std::vector<double> per_channel(const Values& x) {
    return std::vector<double>(static_cast<std::size_t>(x.dims[1]));
}

Values vector_of(const Tensor& tensor, const std::vector<double>& numbers) {
    Values values = zeros_like(tensor);
    for (std::size_t i = 0; i < numbers.size(); ++i) values.data[i] = static_cast<float>(numbers[i]);
    return values;
}

}  // namespace

void Precision::of_sums(Values& sums) const {
    if (arithmetic == Arithmetic::reduced) {
        for (float& value : sums.data) value *= 1 + 1.0F / 16;
    }
    if (arithmetic != Arithmetic::unsteady) return;
    for (std::size_t i = 0; i < sums.data.size(); ++i) {
        if ((mixed(run * 0x9e3779b97f4a7c15ULL + i) & 1U) != 0)
            sums.data[i] *= 1 + std::numeric_limits<float>::epsilon();
    }
}

Values compute(const Matmul& m, const Values& a, const Values& b, const Precision& precision) {
    Values c = zeros(m.c->dims, {0, 1, 2, 3});
    Values left = a;
    Values right = b;
    precision.of_operand(left);
    precision.of_operand(right);
    for (std::int64_t i = 0; i < c.dims[0]; ++i) {
        for (std::int64_t j = 0; j < c.dims[1]; ++j) {
            add_product(c.dims[2], c.dims[3], a.dims[3], {left.at(i, j, 0, 0), a.strides[2], a.strides[3]},
                        {right.at(i, j, 0, 0), b.strides[2], b.strides[3]}, c.at(i, j, 0, 0), c.strides[2]);
        }
    }
    precision.of_sums(c);
    return c;
}

Values compute(const Reduction& r, const Values& x) {
    Values y = zeros_like(*r.y);
    const bool maximum = r.op == CUDNN_REDUCE_TENSOR_MAX;
    if (maximum) std::fill(y.data.begin(), y.data.end(), -std::numeric_limits<float>::infinity());
    Axes strides = y.strides;
    for (std::size_t axis = 0; axis < 4; ++axis)
        if (y.dims[axis] == 1) strides[axis] = 0;
    const auto order = order_of_axes(x.strides);
    const std::size_t inner = order[3];
    for_each_row(x.dims, order, [&](const Axes& index) {
        const float* from = x.data.data() + offset_of(index, x.strides);
        float* to = y.data.data() + offset_of(index, strides);
        for (std::int64_t i = 0; i < x.dims[inner]; ++i) {
            float& place = to[i * strides[inner]];
            place = maximum ? std::max(place, from[i]) : place + from[i];
        }
    });
    return y;
}

Values compute(const Reshape& r, const Values& x) {
    std::vector<float> memory(static_cast<std::size_t>(r.x->extent()));
    const std::array<std::size_t, 4> order{0, 1, 2, 3};
    for_each_row(x.dims, order, [&](const Axes& first) {
        Axes index = first;
        for (index[3] = 0; index[3] < x.dims[3]; ++index[3]) {
            memory[static_cast<std::size_t>(offset_of(index, r.x->strides))] =
                x.data[static_cast<std::size_t>(offset_of(index, x.strides))];
        }
    });
    Values y = zeros_like(*r.y);
    for_each_row(y.dims, order, [&](const Axes& first) {
        Axes index = first;
        for (index[3] = 0; index[3] < y.dims[3]; ++index[3]) {
            y.data[static_cast<std::size_t>(offset_of(index, y.strides))] =
                memory[static_cast<std::size_t>(offset_of(index, r.y->strides))];
        }
    });
    return y;
}

Results compute(const ChannelSums& s, const Values& x) {
    std::vector<double> sum = per_channel(x);
    std::vector<double> squares = per_channel(x);
    for_each_of_channels(x, [&](std::size_t channel, std::size_t i) {
        const auto value = static_cast<double>(x.data[i]);
        sum[channel] += value;
        squares[channel] += value * value;
    });
    return {vector_of(*s.sum, sum), vector_of(*s.squares, squares)};
}

Results compute(const NormGradients& n, const Values& x, const Values& dy, const Values& mean,
                const Values& inverse_deviation, const Values& scale) {
    std::vector<double> d_scale = per_channel(x);
    std::vector<double> d_bias = per_channel(x);
    const Values same = reordered(dy, order_of_axes(x.strides));
    const auto of = [](const Values& vector, std::size_t channel) {
        return static_cast<double>(vector.data[channel]);
    };
    for_each_of_channels(x, [&](std::size_t channel, std::size_t i) {
        const auto gradient = static_cast<double>(same.data[i]);
        const double unit =
            (static_cast<double>(x.data[i]) - of(mean, channel)) * of(inverse_deviation, channel);
        d_scale[channel] += gradient * unit;
        d_bias[channel] += gradient;
    });
    const auto values = static_cast<double>(n.x->elements() / n.x->dims[1]);
    std::vector<double> eq_dy = per_channel(x);
    std::vector<double> eq_x = per_channel(x);
    std::vector<double> eq_bias = per_channel(x);
    for (std::size_t c = 0; c < eq_dy.size(); ++c) {
        eq_dy[c] = of(scale, c) * of(inverse_deviation, c);
        eq_x[c] = -eq_dy[c] * of(inverse_deviation, c) * d_scale[c] / values;
        eq_bias[c] = -eq_dy[c] * d_bias[c] / values - eq_x[c] * of(mean, c);
    }
    return {vector_of(*n.d_scale, d_scale), vector_of(*n.d_bias, d_bias), vector_of(*n.eq_dy, eq_dy),
            vector_of(*n.eq_x, eq_x), vector_of(*n.eq_bias, eq_bias)};
}

}  // namespace trireme::emulated::dnn
