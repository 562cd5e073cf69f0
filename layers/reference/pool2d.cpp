#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// Calls f(place in the input) for the places of one window that are not padding, in row-major order. The
/// window is that of output pixel (y, x), channel c of sample n.
template <class F>
void for_each_place(const Pool2d& op, const Shape& in, std::int64_t n, std::int64_t y, std::int64_t x,
                    std::int64_t c, const F& f) {
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
        const std::int64_t iy = y * op.stride[0] - op.padding[0] + ky;
        if (iy < 0 || iy >= in[0]) continue;
        for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
            const std::int64_t ix = x * op.stride[1] - op.padding[1] + kx;
            if (ix < 0 || ix >= in[1]) continue;
            f(static_cast<std::size_t>(((n * in[0] + iy) * in[1] + ix) * in[2] + c));
        }
    }
}

/// Calls f(place in the output, n, y, x, c) for every output element.
template <class F>
void for_each_output(const Extents& e, const F& f) {
    std::size_t place = 0;
    for (std::int64_t n = 0; n < e.batch; ++n) {
        for (std::int64_t y = 0; y < e.output[0]; ++y) {
            for (std::int64_t x = 0; x < e.output[1]; ++x) {
                for (std::int64_t c = 0; c < e.output[2]; ++c) f(place++, n, y, x, c);
            }
        }
    }
}

/// Where the largest value of a window stands; of equal ones, the first. Every window holds at least one
/// place that is not padding, because padding is below the kernel.
std::size_t place_of_maximum(const Pool2d& op, const Shape& in, std::span<const double> input, std::int64_t n,
                             std::int64_t y, std::int64_t x, std::int64_t c) {
    constexpr std::size_t none = static_cast<std::size_t>(-1);
    std::size_t best = none;
    for_each_place(op, in, n, y, x, c, [&](std::size_t place) {
        if (best == none || input[place] > input[best]) best = place;
    });
    return best;
}

double window_size(const Pool2d& op) { return static_cast<double>(op.kernel[0] * op.kernel[1]); }

}  // namespace

void run(const Pool2d& op, const Extents& e, const ForwardIo& io) {
    const Shape& in = e.inputs[0];
    const std::span<const double> input = io.inputs[0];
    for_each_output(e, [&](std::size_t out, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c) {
        if (op.kind == PoolKind::max) {
            io.output[out] = input[place_of_maximum(op, in, input, n, y, x, c)];
            return;
        }
        double sum = 0;
        for_each_place(op, in, n, y, x, c, [&](std::size_t place) { sum += input[place]; });
        io.output[out] = sum / window_size(op);
    });
    finish_sums(op.activation, io.output);
}

void run_back(const Pool2d& op, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (d_input.empty()) return;
    std::fill(d_input.begin(), d_input.end(), 0.0);
    const std::vector<double> gradient = before_activation(op.activation, io);
    const Shape& in = e.inputs[0];
    for_each_output(e, [&](std::size_t out, std::int64_t n, std::int64_t y, std::int64_t x, std::int64_t c) {
        if (op.kind == PoolKind::max) {
            d_input[place_of_maximum(op, in, io.inputs[0], n, y, x, c)] += gradient[out];
            return;
        }
        const double share = gradient[out] / window_size(op);
        for_each_place(op, in, n, y, x, c, [&](std::size_t place) { d_input[place] += share; });
    });
}

void run(const GlobalAveragePool&, const Extents& e, const ForwardIo& io) {
    const auto channels = static_cast<std::size_t>(e.output[0]);
    const auto positions = static_cast<std::size_t>(e.inputs[0][0] * e.inputs[0][1]);
    std::fill(io.output.begin(), io.output.end(), 0.0);
    for (std::size_t i = 0; i < io.inputs[0].size(); ++i) {
        io.output[i / (positions * channels) * channels + i % channels] += io.inputs[0][i];
    }
    for (double& y : io.output) y /= static_cast<double>(positions);
}

void run_back(const GlobalAveragePool&, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const auto channels = static_cast<std::size_t>(e.output[0]);
    const auto positions = static_cast<std::size_t>(e.inputs[0][0] * e.inputs[0][1]);
    for (std::size_t i = 0; i < d_input.size(); ++i) {
        d_input[i] = io.d_output[i / (positions * channels) * channels + i % channels] /
                     static_cast<double>(positions);
    }
}

}  // namespace trireme::layers::reference
