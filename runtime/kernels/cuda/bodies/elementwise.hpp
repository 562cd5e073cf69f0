// Kernels whose elements do not know of each other: one index is one pack of elements. The functions are
// those of layers/ops.hpp; their derivatives are taken from what backward keeps, the output where it tells
// enough.
#pragma once

#include <cmath>

#include "runtime/kernels/cuda/bodies/tiling.hpp"
#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

/// y[i] = f(x[i]); y may lie where x does.
template <class F>
struct Map {
    std::int64_t elements;
    Source x;
    Sink y;
    F f;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack = x.read(place.at, place.n);
        for (int k = 0; k < pack_size; ++k) pack[k] = f(pack[k]);
        y.write(place.at, place.n, pack);
    }
};

/// y[i] = f(a[i], b[i]); y may lie where one of them does.
template <class F>
struct Map2 {
    std::int64_t elements;
    Source a;
    Source b;
    Sink y;
    F f;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack = a.read(place.at, place.n);
        const Pack other = b.read(place.at, place.n);
        for (int k = 0; k < pack_size; ++k) pack[k] = f(pack[k], other[k]);
        y.write(place.at, place.n, pack);
    }
};

struct Same {
    TRIREME_HD float operator()(float x) const { return x; }
};
struct Scaled {
    float factor;
    TRIREME_HD float operator()(float x) const { return factor * x; }
};
struct Sum {
    TRIREME_HD float operator()(float a, float b) const { return a + b; }
};

/// A NaN stays one.
struct ReluOf {
    TRIREME_HD float operator()(float x) const { return x < 0 ? 0.0F : x; }
};
struct ReluOfSum {
    TRIREME_HD float operator()(float a, float b) const { return ReluOf{}(a + b); }
};
/// From the gradient and the output.
struct ReluSlope {
    TRIREME_HD float operator()(float d, float y) const { return y > 0 ? d : 0.0F; }
};

struct TanhOf {
    TRIREME_HD float operator()(float x) const { return std::tanh(x); }
};
struct TanhSlope {
    /// 1 - y^2 would lose the digits where y is near one.
    TRIREME_HD float operator()(float d, float y) const { return d * ((1 - y) * (1 + y)); }
};

/// Where x is very negative, exp(-x) is infinite and the quotient the right limit, zero.
[[nodiscard]] TRIREME_HD inline float sigmoid(float x) { return 1 / (1 + std::exp(-x)); }
struct SigmoidOf {
    TRIREME_HD float operator()(float x) const { return sigmoid(x); }
};
struct SigmoidSlope {
    TRIREME_HD float operator()(float d, float y) const { return d * (y * (1 - y)); }
};

/// The normal distribution function; erfc keeps its digits where x is very negative.
[[nodiscard]] TRIREME_HD inline float normal_distribution(float x) {
    constexpr float inverse_root_two = 0.70710678118654752F;
    return 0.5F * std::erfc(-x * inverse_root_two);
}
struct GeluOf {
    TRIREME_HD float operator()(float x) const { return x * normal_distribution(x); }
};
/// From the gradient and the input.
struct GeluSlope {
    TRIREME_HD float operator()(float d, float x) const {
        constexpr float density_at_zero = 0.39894228040143268F;  // 1 / sqrt(2 pi)
        return d * (normal_distribution(x) + x * (density_at_zero * std::exp(-0.5F * x * x)));
    }
};

/// Of the approximation: x / 2 (1 + tanh(root (x + share x^3))).
struct GeluTanh {
    static constexpr float root = 0.79788456080286536F;  // sqrt(2 / pi)
    static constexpr float share = 0.044715F;
};
struct GeluTanhOf {
    TRIREME_HD float operator()(float x) const {
        return 0.5F * x * (1 + std::tanh(GeluTanh::root * (x + GeluTanh::share * x * x * x)));
    }
};
struct GeluTanhSlope {
    TRIREME_HD float operator()(float d, float x) const {
        const float t = std::tanh(GeluTanh::root * (x + GeluTanh::share * x * x * x));
        const float d_argument = GeluTanh::root * (1 + 3 * GeluTanh::share * x * x);
        return d * (0.5F * (1 + t) + 0.5F * x * (1 - t * t) * d_argument);
    }
};

/// The sum of several tensors, added in order. The result may lie where one of them does.
struct AddAll {
    static constexpr int most = 16;
    std::int64_t elements = 0;
    int count = 0;
    Source inputs[most];
    Sink y;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack sum = inputs[0].read(place.at, place.n);
        for (int i = 1; i < count; ++i) {
            const Pack term = inputs[i].read(place.at, place.n);
            for (int k = 0; k < pack_size; ++k) sum[k] += term[k];
        }
        y.write(place.at, place.n, sum);
    }
};

/// Copies `width` columns of each row from one matrix to another. Index: a pack of one row.
struct CopyColumns {
    std::int64_t width;
    Source from;
    std::int64_t from_stride;  ///< elements of a row
    std::int64_t from_column;
    Sink to;
    std::int64_t to_stride;
    std::int64_t to_column;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division row(index, packs_of(width));
        const PackPlace place(row.remainder, width);
        to.write(row.quotient * to_stride + to_column + place.at, place.n,
                 from.read(row.quotient * from_stride + from_column + place.at, place.n));
    }
};

/// y[row, c] = x[row, c] + bias[c], a rule of ForEachRow.
struct AddToRows {
    Source x;
    Source bias;
    Sink y;

    [[nodiscard]] TRIREME_HD Pack column(std::int64_t channel, int n) const { return bias.read(channel, n); }
    TRIREME_HD void row(const Pack& column, std::int64_t, std::int64_t at, int n) const {
        Pack pack = x.read(at, n);
        for (int k = 0; k < pack_size; ++k) pack[k] += column[k];
        y.write(at, n, pack);
    }
};

/// A tensor of four axes with its axes in another order: to[i0][i1][i2][i3] = from[sum of i_a stride_a].
/// Index: a pack of `to`. So masters [out, in, kh, kw] become products' weights [out, kh, kw, in], and
/// gradients go the other way.
struct Permute {
    std::int64_t extents[4];  ///< of `to`
    std::int64_t strides[4];  ///< in `from`, elements
    Source from;
    Sink to;

    [[nodiscard]] TRIREME_HD std::int64_t elements() const {
        return extents[0] * extents[1] * extents[2] * extents[3];
    }
    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements());
        Pack pack{};
        for_each_of(place.n, [&](int k) {
            std::int64_t left = place.at + k;
            std::int64_t source = 0;
            for (int axis = 3; axis >= 0; --axis) {
                const Division by(left, extents[axis]);
                source += by.remainder * strides[axis];
                left = by.quotient;
            }
            pack[k] = from.get(source);
        });
        to.write(place.at, place.n, pack);
    }
};

/// Two tensors change places, such as parameters and their average around an evaluation.
struct Exchange {
    std::int64_t elements;
    Sink a;
    Sink b;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        const Pack kept = a.source().read(place.at, place.n);
        a.write(place.at, place.n, b.source().read(place.at, place.n));
        b.write(place.at, place.n, kept);
    }
};

/// All of a tensor becomes one value.
struct Fill {
    std::int64_t elements;
    float value;
    Sink to;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack;
        for (int k = 0; k < pack_size; ++k) pack[k] = value;
        to.write(place.at, place.n, pack);
    }
};

}  // namespace trireme::cuda
