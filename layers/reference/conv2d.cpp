#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// Where the operands of one product over the channels of a group start: the formula of layers/ops.hpp with
/// y, x, ky, kx and the group fixed.
struct Tap {
    std::int64_t in = 0;      ///< input channel 0 of the group, at one pixel
    std::int64_t weight = 0;  ///< output channel 0 and input channel 0 of the group, at one kernel place
    std::int64_t out = 0;     ///< output channel 0 of the group, at one pixel
};

struct Geometry {
    std::int64_t in_channels = 0;   ///< of one group
    std::int64_t out_channels = 0;  ///< of one group
    std::int64_t weight_in = 0;     ///< step of the weight from one input channel to the next
    std::int64_t weight_out = 0;    ///< and from one output channel to the next
};

Geometry geometry_of(const Conv2d& op, const Extents& e) {
    Geometry g;
    g.in_channels = e.inputs[0][2] / op.groups;
    g.out_channels = op.out_channels / op.groups;
    g.weight_in = op.kernel[0] * op.kernel[1];
    g.weight_out = g.in_channels * g.weight_in;
    return g;
}

/// Calls f(Tap) for the products of output pixel (y, x) of sample n, all groups; places in the padding have
/// none.
template <class F>
void for_each_tap_of_pixel(const Conv2d& op, const Extents& e, std::int64_t n, std::int64_t y, std::int64_t x,
                           const F& f) {
    const Shape& in = e.inputs[0];
    const Geometry g = geometry_of(op, e);
    const std::int64_t out_pixel = (n * e.output[0] + y) * e.output[1] + x;
    for (std::int64_t ky = 0; ky < op.kernel[0]; ++ky) {
        const std::int64_t iy = y * op.stride[0] - op.padding[0] + ky * op.dilation[0];
        if (iy < 0 || iy >= in[0]) continue;
        for (std::int64_t kx = 0; kx < op.kernel[1]; ++kx) {
            const std::int64_t ix = x * op.stride[1] - op.padding[1] + kx * op.dilation[1];
            if (ix < 0 || ix >= in[1]) continue;
            const std::int64_t in_pixel = (n * in[0] + iy) * in[1] + ix;
            for (std::int64_t group = 0; group < op.groups; ++group) {
                f(Tap{in_pixel * in[2] + group * g.in_channels,
                      group * g.out_channels * g.weight_out + ky * op.kernel[1] + kx,
                      out_pixel * op.out_channels + group * g.out_channels});
            }
        }
    }
}

template <class F>
void for_each_tap(const Conv2d& op, const Extents& e, const F& f) {
    for (std::int64_t n = 0; n < e.batch; ++n) {
        for (std::int64_t y = 0; y < e.output[0]; ++y) {
            for (std::int64_t x = 0; x < e.output[1]; ++x) for_each_tap_of_pixel(op, e, n, y, x, f);
        }
    }
}

}  // namespace

void run(const Conv2d& op, const Extents& e, const ForwardIo& io) {
    const Geometry g = geometry_of(op, e);
    start_sums(op.bias, io);
    for_each_tap(op, e, [&](const Tap& tap) {
        const double* in = io.inputs[0].data() + tap.in;
        const double* weight = io.params[0].data() + tap.weight;
        double* out = io.output.data() + tap.out;
        for (std::int64_t o = 0; o < g.out_channels; ++o) {
            for (std::int64_t i = 0; i < g.in_channels; ++i) {
                out[o] += in[i] * weight[o * g.weight_out + i * g.weight_in];
            }
        }
    });
    if (op.residual) add_residual(io);
    finish_sums(op.activation, io.output);
}

void run_back(const Conv2d& op, const Extents& e, const BackwardIo& io) {
    const Geometry g = geometry_of(op, e);
    const std::vector<double> gradient = before_activation(op.activation, io);
    give_residual(gradient, io);
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const std::span<double> d_weight = wanted(io.d_params, 0);
    std::fill(d_input.begin(), d_input.end(), 0.0);
    std::fill(d_weight.begin(), d_weight.end(), 0.0);
    sum_columns(gradient, wanted(io.d_params, 1));

    if (!d_input.empty()) {
        for_each_tap(op, e, [&](const Tap& tap) {
            const double* weight = io.params[0].data() + tap.weight;
            for (std::int64_t o = 0; o < g.out_channels; ++o) {
                const double d_out = gradient[static_cast<std::size_t>(tap.out + o)];
                for (std::int64_t i = 0; i < g.in_channels; ++i) {
                    d_input[static_cast<std::size_t>(tap.in + i)] +=
                        d_out * weight[o * g.weight_out + i * g.weight_in];
                }
            }
        });
    }
    if (!d_weight.empty()) {
        for_each_tap(op, e, [&](const Tap& tap) {
            const double* in = io.inputs[0].data() + tap.in;
            double* d_taps = d_weight.data() + tap.weight;
            for (std::int64_t o = 0; o < g.out_channels; ++o) {
                const double d_out = gradient[static_cast<std::size_t>(tap.out + o)];
                for (std::int64_t i = 0; i < g.in_channels; ++i) {
                    d_taps[o * g.weight_out + i * g.weight_in] += d_out * in[i];
                }
            }
        });
    }
}

}  // namespace trireme::layers::reference
