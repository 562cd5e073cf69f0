#include <cmath>
#include <numbers>

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

namespace {

constexpr double cubic_share = 0.044715;  // of the approximation in layers/ops.hpp

double tanh_argument(double x) { return std::sqrt(2 / std::numbers::pi) * (x + cubic_share * x * x * x); }

/// The normal distribution function; erfc keeps its digits where x is very negative.
double normal_distribution(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double gelu_slope(double x) {
    const double density = std::exp(-0.5 * x * x) / std::sqrt(2 * std::numbers::pi);
    return normal_distribution(x) + x * density;
}

double gelu_tanh_slope(double x) {
    const double t = std::tanh(tanh_argument(x));
    const double d_argument = std::sqrt(2 / std::numbers::pi) * (1 + 3 * cubic_share * x * x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * d_argument;
}

}  // namespace

void run(const Gelu& op, const Extents&, const ForwardIo& io) {
    if (op.tanh) {
        map(io, [](double x) { return 0.5 * x * (1 + std::tanh(tanh_argument(x))); });
    } else {
        map(io, [](double x) { return x * normal_distribution(x); });
    }
}
void run_back(const Gelu& op, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    for (std::size_t i = 0; i < d_input.size(); ++i) {
        const double x = io.inputs[0][i];
        d_input[i] = io.d_output[i] * (op.tanh ? gelu_tanh_slope(x) : gelu_slope(x));
    }
}

void run(const Flatten&, const Extents&, const ForwardIo& io) {
    std::copy(io.inputs[0].begin(), io.inputs[0].end(), io.output.begin());
}
void run_back(const Flatten&, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (!d_input.empty()) std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
}

}  // namespace trireme::layers::reference
