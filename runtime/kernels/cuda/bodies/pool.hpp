// Max and average pooling of NHWC images (layers::Pool2d). An index is a pack of channels of one pixel, of
// the output in forward and of the input in backward, which gathers from the windows that hold the pixel:
// nothing is added to memory that other threads add to. Max keeps which place of each window won, the first
// of equal ones, in one byte (two where a window has more than 256 places).
#pragma once

#include "runtime/kernels/cuda/bodies/values.hpp"

namespace trireme::cuda {

/// Shapes of a pooling. Axis 0 is the height, 1 the width.
struct PoolShape {
    std::int64_t channels;
    std::int64_t in[2];
    std::int64_t out[2];
    std::int64_t kernel[2];
    std::int64_t stride[2];
    std::int64_t padding[2];
    bool relu;  ///< behind the pooling

    [[nodiscard]] TRIREME_HD std::int64_t places() const { return kernel[0] * kernel[1]; }
    TRIREME_HD void finish(Pack& pooled) const {
        if (!relu) return;
        for (int k = 0; k < pack_size; ++k) pooled[k] = pooled[k] < 0 ? 0.0F : pooled[k];
    }
};

/// A pack of channels of one pixel of [samples, extents, channels].
struct PixelPlace {
    TRIREME_HD PixelPlace(std::int64_t index, const std::int64_t (&extents)[2], std::int64_t channels) {
        const Division pixel(index, packs_of(channels));
        const PackPlace pack(pixel.remainder, channels);
        const Division row(pixel.quotient, extents[1]);
        const Division image(row.quotient, extents[0]);
        channel = pack.at;
        n = pack.n;
        x = row.remainder;
        y = image.remainder;
        sample = image.quotient;
        at = pixel.quotient * channels + channel;
    }
    std::int64_t sample;
    std::int64_t y;
    std::int64_t x;
    std::int64_t channel;
    int n;
    std::int64_t at;  ///< first element
};

/// Which place of its window won, for each output.
struct Winners {
    std::byte* memory;
    bool wide;

    [[nodiscard]] static std::int64_t bytes_each(std::int64_t places) { return places > 256 ? 2 : 1; }
    TRIREME_HD void put(std::int64_t at, int place) const {
        if (wide) {
            reinterpret_cast<std::uint16_t*>(memory)[at] = static_cast<std::uint16_t>(place);
        } else {
            reinterpret_cast<std::uint8_t*>(memory)[at] = static_cast<std::uint8_t>(place);
        }
    }
    [[nodiscard]] TRIREME_HD int get(std::int64_t at) const {
        return wide ? reinterpret_cast<const std::uint16_t*>(memory)[at]
                    : reinterpret_cast<const std::uint8_t*>(memory)[at];
    }
};

/// Calls f(first element in the input, place in the window) for the places that are not padding, in row-major
/// order.
template <class F>
TRIREME_HD void for_each_place(const PoolShape& s, const PixelPlace& out, const F& f) {
    for (std::int64_t ky = 0; ky < s.kernel[0]; ++ky) {
        const std::int64_t y = out.y * s.stride[0] - s.padding[0] + ky;
        if (y < 0 || y >= s.in[0]) continue;
        for (std::int64_t kx = 0; kx < s.kernel[1]; ++kx) {
            const std::int64_t x = out.x * s.stride[1] - s.padding[1] + kx;
            if (x < 0 || x >= s.in[1]) continue;
            f(((out.sample * s.in[0] + y) * s.in[1] + x) * s.channels + out.channel,
              static_cast<int>(ky * s.kernel[1] + kx));
        }
    }
}

struct MaxPool {
    PoolShape shape;
    Source x;
    Sink y;
    Winners winners;  ///< null memory in evaluation

    TRIREME_HD void operator()(std::int64_t index) const {
        const PixelPlace out(index, shape.out, shape.channels);
        Pack best{};
        int place_of[pack_size];
        for (int& place : place_of) place = -1;
        for_each_place(shape, out, [&](std::int64_t at, int place) {
            const Pack values = x.read(at, out.n);
            for (int k = 0; k < pack_size; ++k) {
                if (place_of[k] >= 0 && !(values[k] > best[k])) continue;
                best[k] = values[k];
                place_of[k] = place;
            }
        });
        shape.finish(best);
        y.write(out.at, out.n, best);
        if (winners.memory == nullptr) return;
        for_each_of(out.n, [&](int k) { winners.put(out.at + k, place_of[k]); });
    }
};

struct AveragePool {
    PoolShape shape;
    Source x;
    Sink y;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PixelPlace out(index, shape.out, shape.channels);
        Pack sum{};
        for_each_place(shape, out, [&](std::int64_t at, int) {
            const Pack values = x.read(at, out.n);
            for (int k = 0; k < pack_size; ++k) sum[k] += values[k];
        });
        const auto places = static_cast<float>(shape.places());
        for (int k = 0; k < pack_size; ++k) sum[k] /= places;
        shape.finish(sum);
        y.write(out.at, out.n, sum);
    }
};

/// Calls f(first element in the output, place of the pixel in that window) for all windows that hold an input
/// pixel, in row-major order.
template <class F>
TRIREME_HD void for_each_window(const PoolShape& s, const PixelPlace& in, const F& f) {
    // The first window whose last row is not above the pixel; of columns alike.
    const auto first = [&](std::int64_t place, int axis) {
        const std::int64_t over = place + s.padding[axis] - s.kernel[axis];
        return over < 0 ? 0 : over / s.stride[axis] + 1;
    };
    for (std::int64_t oy = first(in.y, 0); oy < s.out[0]; ++oy) {
        const std::int64_t ky = in.y + s.padding[0] - oy * s.stride[0];
        if (ky < 0) break;
        for (std::int64_t ox = first(in.x, 1); ox < s.out[1]; ++ox) {
            const std::int64_t kx = in.x + s.padding[1] - ox * s.stride[1];
            if (kx < 0) break;
            f(((in.sample * s.out[0] + oy) * s.out[1] + ox) * s.channels + in.channel,
              static_cast<int>(ky * s.kernel[1] + kx));
        }
    }
}

struct MaxPoolInputGradient {
    PoolShape shape;
    Source d;
    Winners winners;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PixelPlace in(index, shape.in, shape.channels);
        Pack sum{};
        for_each_window(shape, in, [&](std::int64_t at, int place) {
            const Pack gradient = d.read(at, in.n);
            for_each_of(in.n, [&](int k) {
                if (winners.get(at + k) == place) sum[k] += gradient[k];
            });
        });
        d_x.write(in.at, in.n, sum);
    }
};

struct AveragePoolInputGradient {
    PoolShape shape;
    Source d;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const PixelPlace in(index, shape.in, shape.channels);
        Pack sum{};
        for_each_window(shape, in, [&](std::int64_t at, int) {
            const Pack gradient = d.read(at, in.n);
            for (int k = 0; k < pack_size; ++k) sum[k] += gradient[k];
        });
        const auto places = static_cast<float>(shape.places());
        for (int k = 0; k < pack_size; ++k) sum[k] /= places;
        d_x.write(in.at, in.n, sum);
    }
};

/// Of the mean over all positions of a sample: each of them gets its share. Index: a pack of one position.
struct SpreadOverPositions {
    std::int64_t positions;
    std::int64_t channels;
    Source d;
    Sink d_x;

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division position(index, packs_of(channels));
        const PackPlace pack(position.remainder, channels);
        const Division sample(position.quotient, positions);
        Pack gradient = d.read(sample.quotient * channels + pack.at, pack.n);
        const auto shares = static_cast<float>(positions);
        for (int k = 0; k < pack_size; ++k) gradient[k] /= shares;
        d_x.write(position.quotient * channels + pack.at, pack.n, gradient);
    }
};

}  // namespace trireme::cuda
