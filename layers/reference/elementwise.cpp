#include <cmath>

#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

template <class F>
void map(const ForwardIo& io, const F& f) {
    for (std::size_t i = 0; i < io.output.size(); ++i) io.output[i] = f(io.inputs[0][i]);
}

/// `slope` gives the derivative from the op's output.
template <class F>
void map_back(const BackwardIo& io, const F& slope) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    for (std::size_t i = 0; i < d_input.size(); ++i) d_input[i] = io.d_output[i] * slope(io.output[i]);
}

}  // namespace

void run(const Relu&, const Extents&, const ForwardIo& io) {
    map(io, [](double x) { return std::max(x, 0.0); });
}
void run_back(const Relu&, const Extents&, const BackwardIo& io) {
    map_back(io, [](double y) { return y > 0 ? 1.0 : 0.0; });
}

void run(const Tanh&, const Extents&, const ForwardIo& io) {
    map(io, [](double x) { return std::tanh(x); });
}
void run_back(const Tanh&, const Extents&, const BackwardIo& io) {
    map_back(io, [](double y) { return 1 - y * y; });
}

/// Where x is very negative, exp(-x) is infinite and the quotient the right limit, zero.
void run(const Sigmoid&, const Extents&, const ForwardIo& io) {
    map(io, [](double x) { return 1 / (1 + std::exp(-x)); });
}
void run_back(const Sigmoid&, const Extents&, const BackwardIo& io) {
    map_back(io, [](double y) { return y * (1 - y); });
}

void run(const Flatten&, const Extents&, const ForwardIo& io) {
    std::copy(io.inputs[0].begin(), io.inputs[0].end(), io.output.begin());
}
void run_back(const Flatten&, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (!d_input.empty()) std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
}

}  // namespace trireme::layers::reference
