#include <cmath>

#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// Mean and biased variance of one channel, and the factor that divides by its deviation.
struct Moments {
    double mean = 0;
    double variance = 0;
    double inverse_deviation = 0;
};

struct Channels {
    std::size_t count = 0;   ///< of channels
    std::size_t values = 0;  ///< in each of them
};

Channels channels_of(const Extents& e) {
    Channels c;
    c.count = last_extent(e.inputs[0]);
    c.values = static_cast<std::size_t>(e.inputs[0].elements().value * e.batch) / c.count;
    return c;
}

/// In two passes: the variance is taken around the mean, so that nothing cancels.
Moments moments_of_batch(std::span<const double> x, const Channels& channels, std::size_t c) {
    const auto n = static_cast<double>(channels.values);
    Moments m;
    for (std::size_t i = 0; i < channels.values; ++i) m.mean += x[i * channels.count + c];
    m.mean /= n;
    for (std::size_t i = 0; i < channels.values; ++i) {
        const double difference = x[i * channels.count + c] - m.mean;
        m.variance += difference * difference;
    }
    m.variance /= n;
    return m;
}

template <class Io>
Moments moments_of(const BatchNorm& op, const Channels& channels, std::size_t c, const Io& io) {
    Moments m = io.training ? moments_of_batch(io.inputs[0], channels, c)
                            : Moments{io.buffers[0][c], io.buffers[1][c], 0};
    m.inverse_deviation = 1 / std::sqrt(m.variance + op.eps);
    return m;
}

void write_statistics(const Moments& m, const Channels& channels, std::size_t c,
                      std::span<double> statistics) {
    const auto n = static_cast<double>(channels.values);
    const double correction = channels.values > 1 ? n / (n - 1) : 1;
    statistics[c] = n * m.mean;
    statistics[channels.count + c] = n * m.variance * correction;
    statistics[2 * channels.count + c] = n * m.mean * m.mean;
}

}  // namespace

void run(const BatchNorm& op, const Extents& e, const ForwardIo& io) {
    const Channels channels = channels_of(e);
    for (std::size_t c = 0; c < channels.count; ++c) {
        const Moments m = moments_of(op, channels, c, io);
        if (io.training && !io.statistics.empty()) write_statistics(m, channels, c, io.statistics);
        for (std::size_t i = 0; i < channels.values; ++i) {
            const std::size_t at = i * channels.count + c;
            const double normalised = (io.inputs[0][at] - m.mean) * m.inverse_deviation;
            io.output[at] = normalised * io.params[0][c] + io.params[1][c];
        }
    }
    if (op.residual) add_residual(io);
    finish_sums(op.activation, io.output);
}

/// In training mean and variance depend on every value, which takes two terms off the gradient: its mean and
/// its projection on the normalised values.
void run_back(const BatchNorm& op, const Extents& e, const BackwardIo& io) {
    const Channels channels = channels_of(e);
    const auto n = static_cast<double>(channels.values);
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const std::span<double> d_weight = wanted(io.d_params, 0);
    const std::span<double> d_bias = wanted(io.d_params, 1);
    const std::vector<double> gradient = before_activation(op.activation, io);
    give_residual(gradient, io);
    for (std::size_t c = 0; c < channels.count; ++c) {
        const Moments m = moments_of(op, channels, c, io);
        const auto normalised = [&](std::size_t at) {
            return (io.inputs[0][at] - m.mean) * m.inverse_deviation;
        };
        double sum = 0;
        double projection = 0;
        for (std::size_t i = 0; i < channels.values; ++i) {
            const std::size_t at = i * channels.count + c;
            sum += gradient[at];
            projection += gradient[at] * normalised(at);
        }
        if (!d_weight.empty()) d_weight[c] = projection;
        if (!d_bias.empty()) d_bias[c] = sum;
        if (d_input.empty()) continue;
        const double slope = io.params[0][c] * m.inverse_deviation;
        for (std::size_t i = 0; i < channels.values; ++i) {
            const std::size_t at = i * channels.count + c;
            const double taken = io.training ? (sum + normalised(at) * projection) / n : 0;
            d_input[at] = slope * (gradient[at] - taken);
        }
    }
}

}  // namespace trireme::layers::reference
