// A linear layer (layers::Linear), plainly: each index makes a pack of results from the fp32 weights. It is
// what runs where cuBLASLt does not take a node. Sums have two levels, so that their error grows with the
// number of parts and not of terms.
#pragma once

#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

struct LinearShape {
    std::int64_t rows;
    std::int64_t in;
    std::int64_t out;
};

/// Terms of the lower level.
inline constexpr std::int64_t linear_part = 32;

/// Index: a pack of outputs of one row.
struct LinearForward {
    LinearShape shape;
    Source x;
    Source weight;
    Source bias;  ///< null memory: none
    bool relu;
    Sink y;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division row(index, packs_of(shape.out));
        const PackPlace place(row.remainder, shape.out);
        Pack sum = bias ? bias.read(place.at, place.n) : Pack{};
        for (std::int64_t i = 0; i < shape.in; i += pack_size) {
            const int n = static_cast<int>(shape.in - i < pack_size ? shape.in - i : pack_size);
            const Pack values = x.read(row.quotient * shape.in + i, n);
            for_each_of(place.n, [&](int o) {
                const Pack w = weight.read((place.at + o) * shape.in + i, n);
                float part = 0;
                for (int k = 0; k < pack_size; ++k) part += values[k] * w[k];
                sum[o] += part;
            });
        }
        for (int o = 0; relu && o < pack_size; ++o) sum[o] = sum[o] < 0 ? 0.0F : sum[o];
        y.write(row.quotient * shape.out + place.at, place.n, sum);
    }
};

/// The sum over `count` of factor(i) pack(i), where pack(i) has n elements.
template <class Factor, class Terms>
TRIREME_HD Pack weighted_sum(std::int64_t count, const Factor& factor, const Terms& terms) {
    Pack sum{};
    for (std::int64_t first = 0; first < count; first += linear_part) {
        const std::int64_t end = first + linear_part < count ? first + linear_part : count;
        Pack part{};
        for (std::int64_t i = first; i < end; ++i) {
            const float f = factor(i);
            const Pack term = terms(i);
            for (int k = 0; k < pack_size; ++k) part[k] += f * term[k];
        }
        for (int k = 0; k < pack_size; ++k) sum[k] += part[k];
    }
    return sum;
}

/// Index: a pack of inputs of one row.
struct LinearInputGradient {
    LinearShape shape;
    Source d;
    Source weight;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division row(index, packs_of(shape.in));
        const PackPlace place(row.remainder, shape.in);
        const Pack sum = weighted_sum(
            shape.out, [&](std::int64_t o) { return d.get(row.quotient * shape.out + o); },
            [&](std::int64_t o) { return weight.read(o * shape.in + place.at, place.n); });
        d_x.write(row.quotient * shape.in + place.at, place.n, sum);
    }
};

/// Index: a pack of inputs of one output's weights.
struct LinearWeightGradient {
    LinearShape shape;
    Source x;
    Source d;
    Sink d_weight;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division output(index, packs_of(shape.in));
        const PackPlace place(output.remainder, shape.in);
        const Pack sum = weighted_sum(
            shape.rows, [&](std::int64_t r) { return d.get(r * shape.out + output.quotient); },
            [&](std::int64_t r) { return x.read(r * shape.in + place.at, place.n); });
        d_weight.write(output.quotient * shape.in + place.at, place.n, sum);
    }
};

}  // namespace trireme::cuda
