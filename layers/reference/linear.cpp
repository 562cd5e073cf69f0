#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {

void run(const Linear& op, const Extents& e, const ForwardIo& io) {
    const std::size_t in = last_extent(e.inputs[0]);
    const std::size_t out = last_extent(e.output);
    const std::span<const double> x = io.inputs[0];
    const std::span<const double> weight = io.params[0];
    start_sums(op.bias, io);
    for (std::size_t row = 0; row < io.output.size() / out; ++row) {
        for (std::size_t o = 0; o < out; ++o) {
            double sum = io.output[row * out + o];
            for (std::size_t i = 0; i < in; ++i) sum += x[row * in + i] * weight[o * in + i];
            io.output[row * out + o] = sum;
        }
    }
    finish_sums(op.activation, io.output);
}

void run_back(const Linear& op, const Extents& e, const BackwardIo& io) {
    const std::size_t in = last_extent(e.inputs[0]);
    const std::size_t out = last_extent(e.output);
    const std::vector<double> gradient = before_activation(op.activation, io);
    const std::size_t rows = gradient.size() / out;
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const std::span<double> d_weight = wanted(io.d_params, 0);
    std::fill(d_input.begin(), d_input.end(), 0.0);
    std::fill(d_weight.begin(), d_weight.end(), 0.0);
    sum_columns(gradient, wanted(io.d_params, 1));

    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t o = 0; o < out; ++o) {
            const double d_out = gradient[row * out + o];
            if (!d_input.empty()) {
                for (std::size_t i = 0; i < in; ++i)
                    d_input[row * in + i] += d_out * io.params[0][o * in + i];
            }
            if (!d_weight.empty()) {
                for (std::size_t i = 0; i < in; ++i)
                    d_weight[o * in + i] += d_out * io.inputs[0][row * in + i];
            }
        }
    }
}

void run(const Bias&, const Extents&, const ForwardIo& io) {
    const std::span<const double> bias = io.params[0];
    for (std::size_t i = 0; i < io.output.size(); ++i) io.output[i] = io.inputs[0][i] + bias[i % bias.size()];
}

void run_back(const Bias&, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (!d_input.empty()) std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
    sum_columns(io.d_output, wanted(io.d_params, 0));
}

}  // namespace trireme::layers::reference
