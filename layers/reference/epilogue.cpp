#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {

void start_sums(bool bias, const ForwardIo& io) {
    if (!bias) {
        std::fill(io.output.begin(), io.output.end(), 0.0);
        return;
    }
    const std::span<const double> b = io.params[1];
    for (std::size_t i = 0; i < io.output.size(); ++i) io.output[i] = b[i % b.size()];
}

void add_residual(const ForwardIo& io) {
    for (std::size_t i = 0; i < io.output.size(); ++i) io.output[i] += io.inputs[1][i];
}

void finish_sums(Activation activation, std::span<double> output) {
    if (activation == Activation::none) return;
    for (double& y : output) y = std::max(y, 0.0);
}

std::vector<double> before_activation(Activation activation, const BackwardIo& io) {
    std::vector<double> gradient(io.d_output.begin(), io.d_output.end());
    if (activation == Activation::none) return gradient;
    for (std::size_t i = 0; i < gradient.size(); ++i) {
        if (!(io.output[i] > 0)) gradient[i] = 0;
    }
    return gradient;
}

void give_residual(std::span<const double> gradient, const BackwardIo& io) {
    const std::span<double> d_residual = wanted(io.d_inputs, 1);
    if (!d_residual.empty()) std::copy(gradient.begin(), gradient.end(), d_residual.begin());
}

void sum_columns(std::span<const double> d_output, std::span<double> d_bias) {
    std::fill(d_bias.begin(), d_bias.end(), 0.0);
    if (d_bias.empty()) return;
    for (std::size_t i = 0; i < d_output.size(); ++i) d_bias[i % d_bias.size()] += d_output[i];
}

}  // namespace trireme::layers::reference
