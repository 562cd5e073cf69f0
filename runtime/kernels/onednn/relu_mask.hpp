// Which values of a row a relu let through, one bit each: a thirty-second of what the values themselves would
// cost to keep and to read again. Each row begins a new word, so that rows can be cut between threads.
#pragma once

#include <algorithm>
#include <cstdint>

namespace trireme::onednn::relu_mask {

inline constexpr std::int64_t word_bits = 32;

[[nodiscard]] inline std::int64_t words_of_row(std::int64_t channels) {
    return (channels + word_bits - 1) / word_bits;
}

/// y = max(y, 0) in place (NaN stays), and bit c of the mask says y[c] > 0.
[[gnu::always_inline]] inline void clip_row(float* y, std::int64_t channels, std::uint32_t* mask) {
    for (std::int64_t c = 0; c < channels; c += word_bits) {
        const std::int64_t n = std::min(word_bits, channels - c);
        std::uint32_t word = 0;
#pragma omp simd reduction(| : word)
        for (std::int64_t i = 0; i < n; ++i) {
            word |= static_cast<std::uint32_t>(y[c + i] > 0) << i;
            y[c + i] = y[c + i] < 0 ? 0.0F : y[c + i];
        }
        mask[c / word_bits] = word;
    }
}

/// to[c] = from[c] where bit c is set, else 0.
[[gnu::always_inline]] inline void apply_to_row(const float* from, std::int64_t channels,
                                                const std::uint32_t* mask, float* to) {
    for (std::int64_t c = 0; c < channels; c += word_bits) {
        const std::int64_t n = std::min(word_bits, channels - c);
        const std::uint32_t word = mask[c / word_bits];
#pragma omp simd
        for (std::int64_t i = 0; i < n; ++i) to[c + i] = (word >> i & 1U) != 0 ? from[c + i] : 0.0F;
    }
}

}  // namespace trireme::onednn::relu_mask
