// Inverted dropout (layers::Dropout): element e of the sample at position q of the global batch is kept where
// number q * elements + e of the node's random stream says so, the same numbers as on the CPU. Forward keeps
// one bit an element, a byte for each pack, so backward needs neither random numbers nor input.
#pragma once

#include "runtime/core/philox.hpp"
#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

/// Index: a pack.
struct DropoutForward {
    std::int64_t elements;
    Source x;
    StreamKey key;
    const std::uint64_t*
        stream;               ///< device memory that has key.stream of this step; null: the key's is right
    std::int64_t first;       ///< element of the stream that belongs to element 0
    std::uint32_t threshold;  ///< of 24 bits: p 2^24, rounded up
    float scale;
    std::uint8_t* mask;
    Sink y;

    TRIREME_HD void operator()(std::int64_t index) const {
        constexpr std::uint64_t block_elements = 4;
        const PackPlace place(index, elements);
        const StreamKey own{key.seed, stream != nullptr ? *stream : key.stream};
        auto number = static_cast<std::uint64_t>(first + place.at);
        auto block = own.block(number / block_elements);
        Pack pack = x.read(place.at, place.n);
        unsigned bits = 0;
        for (int k = 0; k < pack_size; ++k, ++number) {
            const auto word = static_cast<int>(number % block_elements);
            if (word == 0) block = own.block(number / block_elements);
            // Picked without an index that varies, so that the block stays in registers.
            const std::uint32_t drawn =
                word < 2 ? (word == 0 ? block[0] : block[1]) : (word == 2 ? block[2] : block[3]);
            const bool kept = drawn >> 8 >= threshold;
            bits |= (kept ? 1U : 0U) << k;
            pack[k] = kept ? pack[k] * scale : 0.0F;
        }
        mask[index] = static_cast<std::uint8_t>(bits);
        y.write(place.at, place.n, pack);
    }
};

/// d_x may lie where d does.
struct DropoutInputGradient {
    std::int64_t elements;
    Source d;
    const std::uint8_t* mask;
    float scale;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PackPlace place(index, elements);
        Pack pack = d.read(place.at, place.n);
        const unsigned bits = mask[index];
        for (int k = 0; k < pack_size; ++k) pack[k] = (bits >> k & 1U) != 0 ? pack[k] * scale : 0.0F;
        d_x.write(place.at, place.n, pack);
    }
};

}  // namespace trireme::cuda
