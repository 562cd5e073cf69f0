// Causal self-attention (layers::CausalSelfAttention), plainly: a block takes one query, or one key, of one
// head of one sample, and keeps a row of weights in its memory. It is what runs where cuDNN's attention does
// not (fp32, head widths that it refuses); its cost is the full triangle with no reuse between rows.
//
//   forward    AttentionForward        out[t], and the softmax's two numbers of each query
//   backward   AttentionQueryGradient  dq[t], and sum over s of p[t, s] dp[t, s]
//              AttentionKeyGradient    dk[s] and dv[s], over the queries from s on
//
//   p = softmax(scale q k),  dp = dout v,  ds = p (dp - sum p dp),  dq = scale ds k,  dk = scale ds q
#pragma once

#include <cmath>

#include "runtime/kernels/cuda/bodies/block.hpp"
#include "runtime/kernels/cuda/bodies/losses.hpp"

namespace trireme::cuda {

struct AttentionShape {
    static constexpr int threads = 128;
    /// What the two rows of weights of a key's gradient leave of 48 KiB.
    static constexpr std::int64_t most_positions = 6000;

    std::int64_t heads;
    std::int64_t positions;
    std::int64_t channels;
    std::int64_t width;  ///< of a head
    float scale;         ///< 1 / sqrt(width)

    /// Rows of all samples and heads: what an index of the kernels counts.
    [[nodiscard]] std::int64_t rows(std::int64_t batch) const { return batch * heads * positions; }
};

/// One head of one sample at one position. An index counts positions, then heads, then samples.
struct HeadPlace {
    TRIREME_HD HeadPlace(const AttentionShape& s, std::int64_t index)
        : shape(s), by_position(index, s.positions), by_head(by_position.quotient, s.heads) {}

    [[nodiscard]] TRIREME_HD std::int64_t position() const { return by_position.remainder; }
    /// First element of query (part 0), key (1) or value (2) at position t of this head and sample.
    [[nodiscard]] TRIREME_HD std::int64_t in(int part, std::int64_t t) const {
        return (by_head.quotient * shape.positions + t) * 3 * shape.channels + part * shape.channels +
               by_head.remainder * shape.width;
    }
    [[nodiscard]] TRIREME_HD std::int64_t out(std::int64_t t) const {
        return (by_head.quotient * shape.positions + t) * shape.channels + by_head.remainder * shape.width;
    }
    /// The index of position t of this head and sample.
    [[nodiscard]] TRIREME_HD std::int64_t row(std::int64_t t) const {
        return by_position.quotient * shape.positions + t;
    }

    const AttentionShape& shape;
    Division by_position;
    Division by_head;
};

[[nodiscard]] TRIREME_HD inline float dot(const Source& a, std::int64_t at_a, const Source& b,
                                          std::int64_t at_b, std::int64_t width) {
    float sum = 0;
    for (std::int64_t i = 0; i < width; i += pack_size) {
        const int n = static_cast<int>(width - i < pack_size ? width - i : pack_size);
        const Pack x = a.read(at_a + i, n);
        const Pack y = b.read(at_b + i, n);
        float part = 0;
        for (int k = 0; k < pack_size; ++k) part += x[k] * y[k];
        sum += part;
    }
    return sum;
}

struct AttentionForward {
    AttentionShape shape;
    Source x;
    SoftmaxRow* kept;  ///< by row; null in evaluation
    Sink y;

    [[nodiscard]] std::int64_t shared_bytes(int threads) const {
        return SharedBytes().array<float>(shape.positions).array<SoftmaxSums>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        auto* scores = block.template array<float>(shape.positions);
        auto* sums = block.template array<SoftmaxSums>(block.threads());
        const HeadPlace head(shape, index);
        const std::int64_t last = head.position();
        block.for_each_thread([&](int t) {
            SoftmaxSums own{-std::numeric_limits<float>::infinity(), 0, 0};
            for (std::int64_t s = t; s <= last; s += block.threads()) {
                scores[s] = shape.scale * dot(x, head.in(0, last), x, head.in(1, s), shape.width);
                own.merge({scores[s], 1, 0});
            }
            sums[t] = own;
        });
        combine_by_halves(block, 1, [&](int t, int other) { sums[t].merge(sums[other]); });
        const SoftmaxSums all = read_together(block, sums[0]);
        const float inverse = 1 / all.sum;
        block.for_each_thread([&](int t) {
            if (t == 0 && kept != nullptr) kept[index] = {all.largest, std::log(all.sum)};
            for (std::int64_t s = t; s <= last; s += block.threads())
                scores[s] = std::exp(scores[s] - all.largest) * inverse;
        });
        block.for_each_thread([&](int t) {
            for (std::int64_t i = t; i < shape.width; i += block.threads()) {
                float sum = 0;
                for (std::int64_t s = 0; s <= last; ++s) sum += scores[s] * x.get(head.in(2, s) + i);
                y.put(head.out(last) + i, sum);
            }
        });
    }
};

/// What both gradients read.
struct AttentionOperands {
    AttentionShape shape;
    Source x;
    Source d;
    const SoftmaxRow* kept;

    /// The weight that query t gives to key s.
    [[nodiscard]] TRIREME_HD float weight(const HeadPlace& head, std::int64_t t, std::int64_t s) const {
        const SoftmaxRow row = kept[head.row(t)];
        const float score = shape.scale * dot(x, head.in(0, t), x, head.in(1, s), shape.width);
        return std::exp((score - row.largest) - row.log_sum);
    }
    /// The gradient of that weight.
    [[nodiscard]] TRIREME_HD float d_weight(const HeadPlace& head, std::int64_t t, std::int64_t s) const {
        return dot(d, head.out(t), x, head.in(2, s), shape.width);
    }
};

struct AttentionQueryGradient {
    AttentionOperands of;
    float* taken;  ///< by row: sum of p dp
    Sink d_x;

    [[nodiscard]] std::int64_t shared_bytes(int threads) const {
        const std::int64_t positions = of.shape.positions;
        return SharedBytes().array<float>(positions).array<float>(positions).array<float>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const AttentionShape& shape = of.shape;
        auto* weights = block.template array<float>(shape.positions);
        auto* slopes = block.template array<float>(shape.positions);
        auto* sums = block.template array<float>(block.threads());
        const HeadPlace head(shape, index);
        const std::int64_t last = head.position();
        block.for_each_thread([&](int t) {
            float sum = 0;
            for (std::int64_t s = t; s <= last; s += block.threads()) {
                weights[s] = of.weight(head, last, s);
                slopes[s] = of.d_weight(head, last, s);
                sum += weights[s] * slopes[s];
            }
            sums[t] = sum;
        });
        const float all = sum_of_threads(block, sums);
        block.for_each_thread([&](int t) {
            if (t == 0) taken[index] = all;
            for (std::int64_t s = t; s <= last; s += block.threads())
                slopes[s] = weights[s] * (slopes[s] - all);
        });
        block.for_each_thread([&](int t) {
            for (std::int64_t i = t; i < shape.width; i += block.threads()) {
                float sum = 0;
                for (std::int64_t s = 0; s <= last; ++s) sum += slopes[s] * of.x.get(head.in(1, s) + i);
                d_x.put(head.in(0, last) + i, shape.scale * sum);
            }
        });
    }
};

/// After AttentionQueryGradient, which leaves `taken`.
struct AttentionKeyGradient {
    AttentionOperands of;
    const float* taken;
    Sink d_x;

    [[nodiscard]] std::int64_t shared_bytes(int) const {
        return SharedBytes().array<float>(of.shape.positions).array<float>(of.shape.positions).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const AttentionShape& shape = of.shape;
        auto* weights = block.template array<float>(shape.positions);
        auto* slopes = block.template array<float>(shape.positions);
        const HeadPlace head(shape, index);
        const std::int64_t key = head.position();
        block.for_each_thread([&](int t) {
            for (std::int64_t query = key + t; query < shape.positions; query += block.threads()) {
                weights[query] = of.weight(head, query, key);
                slopes[query] = weights[query] * (of.d_weight(head, query, key) - taken[head.row(query)]);
            }
        });
        block.for_each_thread([&](int t) {
            for (std::int64_t i = t; i < shape.width; i += block.threads()) {
                float d_key = 0;
                float d_value = 0;
                for (std::int64_t query = key; query < shape.positions; ++query) {
                    d_key += slopes[query] * of.x.get(head.in(0, query) + i);
                    d_value += weights[query] * of.d.get(head.out(query) + i);
                }
                d_x.put(head.in(1, key) + i, shape.scale * d_key);
                d_x.put(head.in(2, key) + i, d_value);
            }
        });
    }
};

}  // namespace trireme::cuda
