// Batch normalisation over the last axis with what a rewrite has fused behind it (layers::BatchNorm): a
// residual, a relu, or both. Each kernel is one pass over the activations:
//
//                                  reads                            writes
//     forward   TileMoments        x                                (partial moments)
//               MergeMoments                                        mean, 1/deviation, statistics
//               Normalise          x (residual)                     y (mask)
//     backward  TileSums           x, d (mask)                      (partial sums)
//               SumChunks                                           sums, gradients of the weights
//               NormInputGradient  x, d (mask)                      d_x (d_residual)
//
// Moments are taken around the first row of a chunk by Welford's update, merged by Chan's in a fixed order:
// no difference of large squares, so a mean far from zero costs the variance no digits. The mask has one bit
// a value, a byte for each pack of a row.
//
// (Ioffe and Szegedy, 2015; Welford, 1962; Chan, Golub and LeVeque, "Updating Formulae and a Pairwise
// Algorithm for Computing Sample Variances", 1979.)
#pragma once

#include <cmath>

#include "runtime/kernels/cuda/bodies/block.hpp"
#include "runtime/kernels/cuda/bodies/tiling.hpp"

namespace trireme::cuda {

/// Count, mean and sum of squared deviations. T: float inside a chunk, double between chunks.
template <class T>
struct Moments {
    T count;
    T mean;
    T squares;

    TRIREME_HD void merge(const Moments& other) {
        if (other.count == 0) return;
        const T all = count + other.count;
        const T delta = other.mean - mean;
        mean += delta * (other.count / all);
        squares += other.squares + delta * delta * (count * (other.count / all));
        count = all;
    }
};

/// partials: means [chunk][channel], then squares [chunk][channel].
struct TileMoments {
    Tiling tiling;
    Source x;
    double* partials;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<float>(threads).array<float>(2 * pack_size * threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        const int threads = block.threads();
        auto* counts = block.template array<float>(threads);
        auto* means = block.template array<float>(2 * pack_size * threads);
        auto* squares = means + pack_size * threads;
        const TilePlace place(tiling, index);
        block.for_each_thread([&](int t) {
            const TileThread thread(tiling, place, t);
            const Pack start = x.read(place.first_row * tiling.channels + thread.channel, thread.n);
            Pack mean{};
            Pack square{};
            float count = 0;
            for (std::int64_t row = thread.row; thread.n > 0 && row < thread.end; row += tiling.lanes) {
                const Pack values = x.read(row * tiling.channels + thread.channel, thread.n);
                count += 1;
                const float share = 1 / count;
                for (int k = 0; k < pack_size; ++k) {
                    const float value = values[k] - start[k];
                    const float delta = value - mean[k];
                    mean[k] += delta * share;
                    square[k] += delta * (value - mean[k]);
                }
            }
            counts[t] = count;
            for (int k = 0; k < pack_size; ++k) {
                means[k * threads + t] = mean[k];
                squares[k * threads + t] = square[k];
            }
        });
        combine_by_halves(block, tiling.tile_packs, [&](int t, int other) {
            for (int k = 0; k < pack_size; ++k) {
                const int at = k * threads;
                Moments<float> own{counts[t], means[at + t], squares[at + t]};
                own.merge({counts[other], means[at + other], squares[at + other]});
                means[at + t] = own.mean;
                squares[at + t] = own.squares;
            }
            counts[t] += counts[other];
        });
        block.for_each_thread([&](int t) {
            const TileThread thread(tiling, place, t);
            if (thread.lane > 0) return;
            const Pack start = x.read(place.first_row * tiling.channels + thread.channel, thread.n);
            double* to = partials + place.chunk * tiling.channels + thread.channel;
            for_each_of(thread.n, [&](int k) {
                to[k] = static_cast<double>(start[k]) + static_cast<double>(means[k * threads + t]);
                to[tiling.partials() + k] = static_cast<double>(squares[k * threads + t]);
            });
        });
    }
};

/// Where a channel's moments go: what backward keeps, and what the running statistics want.
struct MomentsSink {
    std::int64_t channels;
    double eps;
    float* mean;
    float* inverse_deviation;
    float* statistics;  ///< [3, channels]

    TRIREME_HD void put(std::int64_t channel, const Moments<double>& all) const {
        const double n = all.count;
        const double correction = n > 1 ? n / (n - 1) : 1;
        mean[channel] = static_cast<float>(all.mean);
        inverse_deviation[channel] = static_cast<float>(1 / std::sqrt(all.squares / n + eps));
        statistics[channel] = static_cast<float>(n * all.mean);
        statistics[channels + channel] = static_cast<float>(all.squares * correction);
        statistics[2 * channels + channel] = static_cast<float>(n * all.mean * all.mean);
    }
};

/// Index: a warp of ChunkLanes.
struct MergeMoments {
    Tiling tiling;
    ChunkLanes lanes;
    const double* partials;
    MomentsSink to;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<Moments<double>>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t index) const {
        auto* moments = block.template array<Moments<double>>(block.threads());
        block.for_each_thread([&](int t) {
            Moments<double> own{};
            const std::int64_t channel = lanes.channel(index, t);
            for (std::int64_t chunk = lanes.lane(t); channel < lanes.channels && chunk < tiling.chunks;
                 chunk += lanes.lanes) {
                const double* from = partials + chunk * tiling.channels + channel;
                own.merge({static_cast<double>(tiling.chunk_size(chunk)), *from, from[tiling.partials()]});
            }
            moments[t] = own;
        });
        combine_by_halves(block, lanes.channels_together,
                          [&](int t, int other) { moments[t].merge(moments[other]); });
        block.for_each_thread([&](int t) {
            const std::int64_t channel = lanes.channel(index, t);
            if (lanes.lane(t) == 0 && channel < lanes.channels) to.put(channel, moments[t]);
        });
    }
};

/// Moments from the fp32 sums of a channel's values and of their squares, which a convolution has formed.
/// Index: a channel. The difference is taken in fp64; what the sums have lost is lost: of the variance, about
/// 1e-7 (1 + mean^2 / variance).
struct MomentsOfSums {
    double values;  ///< of a channel
    const float* sum;
    const float* squares;
    MomentsSink to;

    TRIREME_HD void operator()(std::int64_t channel) const {
        const double mean = static_cast<double>(sum[channel]) / values;
        const double spread =
            static_cast<double>(squares[channel]) - static_cast<double>(sum[channel]) * mean;
        to.put(channel, {values, mean, spread < 0 ? 0 : spread});  // a NaN stays one
    }
};

/// A norm as scale x + shift, in the type that a convolution takes them in. Index: a channel. The shift is
/// that of the rounded scale, so that its rounding moves no value at the mean.
struct FoldNorm {
    Source weight;
    Source bias;
    const float* mean;
    const float* inverse_deviation;
    Sink scale;
    Sink shift;

    TRIREME_HD void operator()(std::int64_t channel) const {
        scale.put(channel, weight.get(channel) * inverse_deviation[channel]);
        shift.put(channel, bias.get(channel) - mean[channel] * scale.source().get(channel));
    }
};

/// The relu's mask; null: there is none.
struct ReluMask {
    std::uint8_t* bytes;
    std::int64_t row_bytes;

    TRIREME_HD explicit operator bool() const { return bytes != nullptr; }
    TRIREME_HD std::uint8_t& of(std::int64_t row, std::int64_t channel) const {
        return bytes[row * row_bytes + channel / pack_size];
    }
    /// The gradient behind the relu.
    TRIREME_HD void apply(std::int64_t row, std::int64_t channel, Pack& pack) const {
        if (bytes == nullptr) return;
        const std::uint8_t bits = of(row, channel);
        for (int k = 0; k < pack_size; ++k) {
            if ((bits >> k & 1) == 0) pack[k] = 0;
        }
    }
};

/// y = (x - mean) (rstd weight) + bias (+ residual), clipped where there is a relu: a rule of ForEachRow. In
/// evaluation `inverse_deviation` is null and taken from the running variance. Without y, the mask alone.
struct Normalise {
    Source x;
    Source residual;
    Source weight;
    Source bias;
    const float* mean;
    const float* inverse_deviation;
    const float* variance;
    double eps;
    bool relu;
    ReluMask mask;
    Sink y;

    struct Column {
        Pack mean;
        Pack slope;
        Pack bias;
        std::int64_t channel;
    };
    [[nodiscard]] TRIREME_HD Column column(std::int64_t channel, int n) const {
        Column c{{}, weight.read(channel, n), bias.read(channel, n), channel};
        for_each_of(n, [&](int k) {
            c.mean[k] = mean[channel + k];
            c.slope[k] *=
                inverse_deviation != nullptr
                    ? inverse_deviation[channel + k]
                    : static_cast<float>(1 / std::sqrt(static_cast<double>(variance[channel + k]) + eps));
        });
        return c;
    }
    TRIREME_HD void row(const Column& c, std::int64_t row, std::int64_t at, int n) const {
        Pack values = x.read(at, n);
        for (int k = 0; k < pack_size; ++k) values[k] = (values[k] - c.mean[k]) * c.slope[k] + c.bias[k];
        if (residual) {
            const Pack other = residual.read(at, n);
            for (int k = 0; k < pack_size; ++k) values[k] += other[k];
        }
        if (relu) {
            unsigned bits = 0;
            for (int k = 0; k < pack_size; ++k) {
                bits |= (values[k] > 0 ? 1U : 0U) << k;
                values[k] = values[k] < 0 ? 0.0F : values[k];
            }
            if (mask) mask.of(row, c.channel) = static_cast<std::uint8_t>(bits);
        }
        if (y) y.write(at, n, values);
    }
};

/// Terms of TileSums: d, and d (x - mean).
struct NormSums {
    static constexpr int count = 2;
    Source x;
    Source d;
    ReluMask mask;
    const float* mean;

    struct Column {
        Pack mean;
        std::int64_t channel;
    };
    [[nodiscard]] TRIREME_HD Column column(std::int64_t channel, int n) const {
        Column c{{}, channel};
        for_each_of(n, [&](int k) { c.mean[k] = mean[channel + k]; });
        return c;
    }
    TRIREME_HD void add(const Column& c, std::int64_t row, std::int64_t at, int n,
                        Pack (&sums)[count]) const {
        Pack gradient = d.read(at, n);
        mask.apply(row, c.channel, gradient);
        const Pack values = x.read(at, n);
        for (int k = 0; k < pack_size; ++k) {
            sums[0][k] += gradient[k];
            sums[1][k] += gradient[k] * (values[k] - c.mean[k]);
        }
    }
};

/// Keeps the sums for the input's gradient, and writes them as the gradients of bias and weight, which they
/// are too, where these are wanted.
struct KeepNormSums {
    static constexpr int count = 2;
    const float* inverse_deviation;
    float* sum;      ///< of d
    float* product;  ///< of d and the normalised x
    float* d_weight;
    float* d_bias;

    TRIREME_HD void operator()(std::int64_t channel, const double (&sums)[count]) const {
        sum[channel] = static_cast<float>(sums[0]);
        product[channel] = static_cast<float>(sums[1] * static_cast<double>(inverse_deviation[channel]));
        if (d_weight != nullptr) d_weight[channel] = product[channel];
        if (d_bias != nullptr) d_bias[channel] = sum[channel];
    }
};

/// d_x = weight rstd (d - sum(d)/n - xhat sum(d xhat)/n), xhat = (x - mean) rstd, a rule of ForEachRow; and
/// d_residual = d. Either may lie where d does, and d_x where x does.
struct NormInputGradient {
    Source x;
    Source d;
    ReluMask mask;
    Source weight;
    const float* mean;
    const float* inverse_deviation;
    const float* sum;
    const float* product;
    float n_values;
    Sink d_x;
    Sink d_residual;

    struct Column {
        Pack scale;
        Pack base;
        Pack slope;
        Pack mean;
        std::int64_t channel;
    };
    [[nodiscard]] TRIREME_HD Column column(std::int64_t channel, int n) const {
        Column c{weight.read(channel, n), {}, {}, {}, channel};
        for_each_of(n, [&](int k) {
            const float rstd = inverse_deviation[channel + k];
            c.scale[k] *= rstd;
            c.base[k] = sum[channel + k] / n_values;
            c.slope[k] = product[channel + k] / n_values * rstd;
            c.mean[k] = mean[channel + k];
        });
        return c;
    }
    TRIREME_HD void row(const Column& c, std::int64_t row, std::int64_t at, int n) const {
        Pack gradient = d.read(at, n);
        mask.apply(row, c.channel, gradient);
        if (d_residual) d_residual.write(at, n, gradient);
        if (!d_x) return;
        const Pack values = x.read(at, n);
        for (int k = 0; k < pack_size; ++k)
            gradient[k] = c.scale[k] * (gradient[k] - c.base[k] - (values[k] - c.mean[k]) * c.slope[k]);
        d_x.write(at, n, gradient);
    }
};

/// The gradient of what a norm adds: d behind its relu, a rule of ForEachRow. It may lie where d does.
struct ResidualGradient {
    Source d;
    ReluMask mask;
    bool adds;  ///< to what is there
    Sink to;

    struct Column {
        std::int64_t channel;
    };
    [[nodiscard]] TRIREME_HD Column column(std::int64_t channel, int) const { return {channel}; }
    TRIREME_HD void row(const Column& c, std::int64_t row, std::int64_t at, int n) const {
        Pack gradient = d.read(at, n);
        mask.apply(row, c.channel, gradient);
        if (adds) {
            const Pack there = to.source().read(at, n);
            for (int k = 0; k < pack_size; ++k) gradient[k] += there[k];
        }
        to.write(at, n, gradient);
    }
};

}  // namespace trireme::cuda
