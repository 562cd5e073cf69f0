// Values in another type, and weights in the order that products read, over a launch policy
// (own_kernels.hpp).
#pragma once

#include "runtime/device/device.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"

namespace trireme::cuda {

/// A weight as its master lies: [out, in, kernel height, kernel width]. `in`: channels of a group.
struct WeightShape {
    std::int64_t out = 0;
    std::int64_t in = 0;
    std::int64_t kernel[2] = {1, 1};

    [[nodiscard]] std::int64_t taps() const { return kernel[0] * kernel[1]; }
};

/// Values in another type.
template <class Launch>
void convert(Stream& stream, const Source& from, const Sink& to, std::int64_t elements) {
    Launch::each(stream, packs_of(elements), Map<Same>{elements, from, to, {}});
}

/// Masters as products read them: [out, kernel height, kernel width, in], in any type.
template <class Launch>
void pack_weights(Stream& stream, const WeightShape& w, const Source& masters, const Sink& packed) {
    const Permute body{{w.out, w.kernel[0], w.kernel[1], w.in},
                       {w.in * w.taps(), w.kernel[1], 1, w.taps()},
                       masters,
                       packed};
    Launch::each(stream, packs_of(body.elements()), body);
}

/// The way back, for a gradient that a product left in that order.
template <class Launch>
void unpack_gradient(Stream& stream, const WeightShape& w, const Source& packed, const Sink& gradient) {
    const Permute body{{w.out, w.in, w.kernel[0], w.kernel[1]},
                       {w.taps() * w.in, 1, w.kernel[1] * w.in, w.in},
                       packed,
                       gradient};
    Launch::each(stream, packs_of(body.elements()), body);
}

}  // namespace trireme::cuda
