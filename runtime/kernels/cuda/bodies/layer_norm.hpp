// Layer normalisation of rows (layers::LayerNorm). A block takes a row: its mean, then its variance around it
// (two passes over a row that lies in the first cache, no cancellation), then the output. The weights'
// gradients are sums of columns (column_sums.hpp).
//
//   d_x = rstd (g - mean(g) - xhat mean(g xhat)),  g = d weight,  xhat = (x - mean) rstd
//
// (Ba, Kiros and Hinton, "Layer Normalization", 2016.)
#pragma once

#include <cmath>

#include "runtime/kernels/cuda/bodies/block.hpp"

namespace trireme::cuda {

/// What forward keeps of each row.
struct RowMoments {
    float mean;
    float inverse_deviation;
};

struct LayerNormForward {
    std::int64_t width;
    Source x;
    Source weight;
    Source bias;
    float eps;
    RowMoments* moments;  ///< null in evaluation
    Sink y;

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<float>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t row) const {
        auto* sums = block.template array<float>(block.threads());
        const std::int64_t begin = row * width;
        const auto n = static_cast<float>(width);
        const auto for_each = [&](int t, const auto& f) {
            for_each_pack(t, block.threads(), begin, begin + width, f);
        };
        const float start = x.get(begin);  // deviations from it: a mean far from zero costs no digits
        block.for_each_thread([&](int t) {
            float sum = 0;
            for_each(t, [&](std::int64_t at, int count) {
                const Pack values = x.read(at, count);
                for_each_of(count, [&](int k) { sum += values[k] - start; });
            });
            sums[t] = sum;
        });
        const float mean = start + sum_of_threads(block, sums) / n;
        block.for_each_thread([&](int t) {
            float sum = 0;
            for_each(t, [&](std::int64_t at, int count) {
                const Pack values = x.read(at, count);
                for_each_of(count, [&](int k) { sum += (values[k] - mean) * (values[k] - mean); });
            });
            sums[t] = sum;
        });
        const float rstd = 1 / std::sqrt(sum_of_threads(block, sums) / n + eps);
        block.for_each_thread([&](int t) {
            if (t == 0 && moments != nullptr) moments[row] = {mean, rstd};
            for_each(t, [&](std::int64_t at, int count) {
                Pack values = x.read(at, count);
                const Pack slope = weight.read(at - begin, count);
                const Pack shift = bias.read(at - begin, count);
                for (int k = 0; k < pack_size; ++k)
                    values[k] = (values[k] - mean) * rstd * slope[k] + shift[k];
                y.write(at, count, values);
            });
        });
    }
};

struct LayerNormInputGradient {
    std::int64_t width;
    Source x;
    Source d;
    Source weight;
    const RowMoments* moments;
    Sink d_x;  ///< may lie where d does

    [[nodiscard]] static std::int64_t shared_bytes(int threads) {
        return SharedBytes().array<float>(threads).array<float>(threads).total();
    }
    template <class Block>
    TRIREME_HD void operator()(Block& block, std::int64_t row) const {
        auto* sums = block.template array<float>(block.threads());
        auto* products = block.template array<float>(block.threads());
        const std::int64_t begin = row * width;
        const RowMoments m = moments[row];
        block.for_each_thread([&](int t) {
            sums[t] = 0;
            products[t] = 0;
            for_each_pack(t, block.threads(), begin, begin + width, [&](std::int64_t at, int count) {
                const Pack values = x.read(at, count);
                const Pack gradient = d.read(at, count);
                const Pack slope = weight.read(at - begin, count);
                for (int k = 0; k < pack_size; ++k) {
                    const float g = gradient[k] * slope[k];
                    sums[t] += g;
                    products[t] += g * ((values[k] - m.mean) * m.inverse_deviation);
                }
            });
        });
        const auto n = static_cast<float>(width);
        const float base = sum_of_threads(block, sums) / n;
        const float projection = sum_of_threads(block, products) / n * m.inverse_deviation;
        block.for_each_thread([&](int t) {
            for_each_pack(t, block.threads(), begin, begin + width, [&](std::int64_t at, int count) {
                const Pack values = x.read(at, count);
                Pack gradient = d.read(at, count);
                const Pack slope = weight.read(at - begin, count);
                for (int k = 0; k < pack_size; ++k) {
                    gradient[k] = m.inverse_deviation *
                                  (gradient[k] * slope[k] - base - (values[k] - m.mean) * projection);
                }
                d_x.write(at, count, gradient);
            });
        });
    }
};

/// Terms of TileSums: d xhat (the weight's gradient) and d (the bias's).
struct LayerNormSums {
    static constexpr int count = 2;
    Source x;
    Source d;
    const RowMoments* moments;

    struct Column {};
    [[nodiscard]] TRIREME_HD Column column(std::int64_t, int) const { return {}; }
    TRIREME_HD void add(const Column&, std::int64_t row, std::int64_t at, int n, Pack (&sums)[count]) const {
        const RowMoments m = moments[row];
        const Pack values = x.read(at, n);
        const Pack gradient = d.read(at, n);
        for (int k = 0; k < pack_size; ++k) {
            sums[0][k] += gradient[k] * ((values[k] - m.mean) * m.inverse_deviation);
            sums[1][k] += gradient[k];
        }
    }
};

struct WriteBoth {
    static constexpr int count = 2;
    float* first;
    float* second;

    TRIREME_HD void operator()(std::int64_t channel, const double (&sums)[count]) const {
        first[channel] = static_cast<float>(sums[0]);
        second[channel] = static_cast<float>(sums[1]);
    }
};

}  // namespace trireme::cuda
