// Loops down the columns of a row-major matrix [rows, channels], the channels of NHWC activations: sums over
// rows stay in registers, a tile of channels at a time, and each value is read from memory once.
//
// Sums are fp32 inside a block of a few rows and fp64 between blocks, so their error does not grow with the
// rows.
#pragma once

#include <algorithm>
#include <cstdint>

namespace trireme::onednn::channels {

/// Channels that one pass over the rows of a block keeps in registers.
inline constexpr std::int64_t tile = 64;
/// Floats of a block: it is read again from the first cache.
inline constexpr std::int64_t block_floats = 8192;

/// Rows of a block. Between 16 and 64, so that fp32 sums are short.
[[nodiscard]] inline std::int64_t rows_per_block(std::int64_t channels) {
    return std::clamp<std::int64_t>(block_floats / channels, 16, 64);
}

/// Calls f(first channel, compile-time width) for tiles and what is left over: f.template operator()<W>(c).
template <class F>
[[gnu::always_inline]] inline void for_each_tile(std::int64_t channels, const F& f) {
    std::int64_t c = 0;
    for (; c + tile <= channels; c += tile) f.template operator()<tile>(c);
    for (; c + 32 <= channels; c += 32) f.template operator()<32>(c);
    for (; c + 16 <= channels; c += 16) f.template operator()<16>(c);
    for (; c + 4 <= channels; c += 4) f.template operator()<4>(c);
    for (; c < channels; ++c) f.template operator()<1>(c);
}

/// Mean and sum of squared deviations of each channel, merged block by block (Chan, Golub and LeVeque,
/// "Updating formulae and a pairwise algorithm for computing sample variances", 1979).
struct Moments {
    double* mean = nullptr;
    double* squares = nullptr;  ///< sum of (x - mean)^2

    /// Takes in `count` values each of `width` channels from c on, with their means and squares; `before`
    /// values each are there already.
    template <class Value>
    [[gnu::always_inline]] void merge(std::int64_t c, std::int64_t width, double before, double count,
                                      const double* means, const Value* other_squares) const {
        const double share = count / (before + count);
        const double weight = before * share;
#pragma omp simd
        for (std::int64_t i = 0; i < width; ++i) {
            const double delta = means[i] - mean[c + i];
            mean[c + i] += delta * share;
            squares[c + i] += static_cast<double>(other_squares[i]) + delta * delta * weight;
        }
    }
};

/// Takes the moments of a block of `rows` rows into `moments`, which hold `before` rows already.
[[gnu::always_inline]] inline void moments_of_block(const float* x, std::int64_t channels, std::int64_t rows,
                                                    std::int64_t before, const Moments& moments) {
    const auto count = static_cast<double>(rows);
    for_each_tile(
        channels, [&]<std::int64_t W>(std::int64_t c) __attribute__((always_inline)) {
            const float* start = x + c;
            // Deviations from the block's first row first: a mean far from zero then costs no digits.
            float sum[W] = {};
            for (std::int64_t r = 1; r < rows; ++r) {
#pragma omp simd
                for (std::int64_t i = 0; i < W; ++i) sum[i] += start[r * channels + i] - start[i];
            }
            // Rounded to fp32 the mean is good enough to measure deviations from, but not to merge: the
            // error would meet the distance of the blocks' means.
            double mean[W];
            float centre[W];
            float squares[W] = {};
#pragma omp simd
            for (std::int64_t i = 0; i < W; ++i) {
                mean[i] = static_cast<double>(start[i]) + static_cast<double>(sum[i]) / count;
                centre[i] = static_cast<float>(mean[i]);
            }
            for (std::int64_t r = 0; r < rows; ++r) {
#pragma omp simd
                for (std::int64_t i = 0; i < W; ++i) {
                    const float d = start[r * channels + i] - centre[i];
                    squares[i] += d * d;
                }
            }
            moments.merge(c, W, static_cast<double>(before), count, mean, squares);
        });
}

/// sums[c] += sum of d, products[c] += sum of d (x - mean[c]) over a block of rows.
[[gnu::always_inline]] inline void gradient_sums_of_block(const float* x, const float* d, const float* mean,
                                                          std::int64_t channels, std::int64_t rows,
                                                          double* sums, double* products) {
    for_each_tile(
        channels, [&]<std::int64_t W>(std::int64_t c) __attribute__((always_inline)) {
            const float* xs = x + c;
            const float* ds = d + c;
            float sum[W] = {};
            float product[W] = {};
            for (std::int64_t r = 0; r < rows; ++r) {
#pragma omp simd
                for (std::int64_t i = 0; i < W; ++i) {
                    sum[i] += ds[r * channels + i];
                    product[i] += ds[r * channels + i] * (xs[r * channels + i] - mean[c + i]);
                }
            }
#pragma omp simd
            for (std::int64_t i = 0; i < W; ++i) {
                sums[c + i] += static_cast<double>(sum[i]);
                products[c + i] += static_cast<double>(product[i]);
            }
        });
}

}  // namespace trireme::onednn::channels
