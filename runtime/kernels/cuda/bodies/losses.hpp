// Losses (layers/ops.hpp) of rows of logits or predictions. A row belongs to a block of threads. The
// classifier is fused: one pass over the logits gives the loss and the two numbers a row that backward needs,
// and backward is one pass that writes the gradient; probabilities are never in memory.
//
// A target that is none (a class outside the logits, a probability outside [0, 1]) makes the loss of its row
// a NaN, and its gradient too: a kernel cannot throw, and a step whose loss is not finite is not committed.
#pragma once

#include <cmath>
#include <limits>

#include "runtime/kernels/cuda/bodies/block.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"

namespace trireme::cuda {

/// The gradient of a sample's loss: 1, or what losses are multiplied by to keep fp16 gradients in range. It
/// is read from device memory, because it changes from step to step; null: 1.
struct LossGradient {
    const float* scale = nullptr;
    TRIREME_HD float get() const { return scale != nullptr ? *scale : 1.0F; }
};

/// What forward keeps of a row: p = exp(x - largest - log_sum).
struct SoftmaxRow {
    float largest;
    float log_sum;
};

/// The running sum of exponentials of a part of a row, around the largest value so far, and of the values'
/// distances from `start`.
struct SoftmaxSums {
    float largest;
    float sum;
    float distance;

    TRIREME_HD void merge(const SoftmaxSums& other) {
        const float above = other.largest > largest ? other.largest : largest;
        sum = scaled(sum, largest, above) + scaled(other.sum, other.largest, above);
        largest = above;
        distance += other.distance;
    }
    /// A sum around `from`, around `to` instead; one of nothing stays zero.
    TRIREME_HD static float scaled(float sum, float from, float to) {
        return from == to || sum == 0 ? sum : sum * std::exp(from - to);
    }
};

/// Index: a row. Writes a loss for each: (1 - s) (-log p[label]) + s mean(-log p).
struct SoftmaxCrossEntropyForward {
    std::int64_t classes;
    Source logits;
    const std::int32_t* labels;
    float smoothing;
    float at_label;    ///< 1 - smoothing
    SoftmaxRow* kept;  ///< null in evaluation
    float* loss;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<SoftmaxSums>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t row) const {
        auto* sums = block.template array<SoftmaxSums>(block.threads());
        const std::int64_t begin = row * classes;
        const float start = logits.get(begin);
        block.for_each_thread([&](int t) {
            SoftmaxSums own{-std::numeric_limits<float>::infinity(), 0, 0};
            for_each_pack(t, block.threads(), begin, begin + classes, [&](std::int64_t at, int n) {
                const Pack x = logits.read(at, n);
                float largest = own.largest;
                for_each_of(n, [&](int k) { largest = x[k] > largest ? x[k] : largest; });
                own.sum = SoftmaxSums::scaled(own.sum, own.largest, largest);
                own.largest = largest;
                for_each_of(n, [&](int k) {
                    // The largest itself is one: minus infinity less itself would be no number.
                    own.sum += x[k] == largest ? 1.0F : std::exp(x[k] - largest);
                    own.distance += x[k] - start;
                });
            });
            sums[t] = own;
        });
        combine_by_halves(block, 1, [&](int t, int other) { sums[t].merge(sums[other]); });
        block.for_each_thread([&](int t) {
            if (t == 0) finish(row, begin, start, sums[0]);
        });
    }

    TRIREME_HD void finish(std::int64_t row, std::int64_t begin, float start, const SoftmaxSums& all) const {
        const float log_sum = std::log(all.sum);
        const std::int64_t label = labels[row];
        const bool known = label >= 0 && label < classes;
        if (kept != nullptr) kept[row] = {all.largest, known ? log_sum : nan()};
        if (!known) {
            loss[row] = nan();
            return;
        }
        float sum = at_label * ((all.largest - logits.get(begin + label)) + log_sum);
        if (smoothing != 0) {
            const float mean_below = (all.largest - start) - all.distance / static_cast<float>(classes);
            sum += smoothing * (mean_below + log_sum);
        }
        loss[row] = sum;
    }
    TRIREME_HD static float nan() { return std::numeric_limits<float>::quiet_NaN(); }
};

/// Index: a pack of the logits, wherever rows begin in it.
struct SoftmaxCrossEntropyGradient {
    std::int64_t elements;
    std::int64_t classes;
    Source logits;
    const std::int32_t* labels;
    const SoftmaxRow* kept;
    float at_label;
    float elsewhere;  ///< smoothing / classes
    float positions;  ///< whose mean the loss of a sample is
    LossGradient gradient;
    Sink d_logits;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack = logits.read(place.at, place.n);
        const Division division(place.at, classes);
        std::int64_t row = division.quotient;
        std::int64_t column = division.remainder;
        SoftmaxRow of_row = kept[row];
        std::int64_t label = labels[row];
        const float d_loss = gradient.get() / positions;
        for_each_of(place.n, [&](int k) {
            if (column == classes) {
                column = 0;
                of_row = kept[++row];
                label = labels[row];
            }
            const float probability = std::exp((pack[k] - of_row.largest) - of_row.log_sum);
            const float target = elsewhere + (column == label ? at_label : 0.0F);
            pack[k] = d_loss * (probability - target);
            ++column;
        });
        d_logits.write(place.at, place.n, pack);
    }
};

/// The mean over the positions of a sample. Index: a sample.
struct MeanOfPositions {
    std::int64_t positions;
    const float* values;
    float* means;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t sample) const {
        auto* sums = block.template array<double>(block.threads());
        block.for_each_thread([&](int t) {
            double sum = 0;
            for (std::int64_t p = t; p < positions; p += block.threads())
                sum += static_cast<double>(values[sample * positions + p]);
            sums[t] = sum;
        });
        combine_by_halves(block, 1, [&](int t, int other) { sums[t] += sums[other]; });
        block.for_each_thread([&](int t) {
            if (t == 0) means[sample] = static_cast<float>(sums[0] / static_cast<double>(positions));
        });
    }
};

/// -t log s(x) - (1 - t) log(1 - s(x)) = max(x, 0) - t x + log(1 + exp(-|x|)).
struct BinaryCrossEntropy {
    [[nodiscard]] TRIREME_HD static float loss(float x, float target) {
        if (!(target >= 0 && target <= 1)) return std::numeric_limits<float>::quiet_NaN();
        return (x > 0 ? x : 0.0F) - target * x + std::log1p(std::exp(-std::fabs(x)));
    }
    [[nodiscard]] TRIREME_HD static float slope(float x, float target) {
        if (!(target >= 0 && target <= 1)) return std::numeric_limits<float>::quiet_NaN();
        return sigmoid(x) - target;
    }
};

struct SquaredError {
    [[nodiscard]] TRIREME_HD static float loss(float x, float target) { return (x - target) * (x - target); }
    [[nodiscard]] TRIREME_HD static float slope(float x, float target) { return 2 * (x - target); }
};

/// The mean of Rule::loss over the outputs of a sample. Index: a sample.
template <class Rule>
struct VectorLossForward {
    std::int64_t outputs;
    Source x;
    Source target;
    float* loss;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<double>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t sample) const {
        auto* sums = block.template array<double>(block.threads());
        const std::int64_t begin = sample * outputs;
        block.for_each_thread([&](int t) {
            double sum = 0;
            for_each_pack(t, block.threads(), begin, begin + outputs, [&](std::int64_t at, int n) {
                const Pack values = x.read(at, n);
                const Pack wanted = target.read(at, n);
                for_each_of(n, [&](int k) { sum += static_cast<double>(Rule::loss(values[k], wanted[k])); });
            });
            sums[t] = sum;
        });
        combine_by_halves(block, 1, [&](int t, int other) { sums[t] += sums[other]; });
        block.for_each_thread([&](int t) {
            if (t == 0) loss[sample] = static_cast<float>(sums[0] / static_cast<double>(outputs));
        });
    }
};

/// Index: a pack.
template <class Rule>
struct VectorLossGradient {
    std::int64_t elements;
    float outputs;
    Source x;
    Source target;
    LossGradient gradient;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack = x.read(place.at, place.n);
        const Pack wanted = target.read(place.at, place.n);
        const float share = gradient.get() / outputs;
        for (int k = 0; k < pack_size; ++k) pack[k] = share * Rule::slope(pack[k], wanted[k]);
        d_x.write(place.at, place.n, pack);
    }
};

}  // namespace trireme::cuda
