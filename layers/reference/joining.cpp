#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// Calls f(place in input i, place in the output) for all elements of input i of a concat.
template <class F>
void for_each_place(const Extents& e, std::size_t i, const F& f) {
    const std::size_t width = last_extent(e.output);
    const std::size_t own = last_extent(e.inputs[i]);
    const std::size_t rows = static_cast<std::size_t>(e.output.elements().value * e.batch) / width;
    std::size_t before = 0;
    for (std::size_t k = 0; k < i; ++k) before += last_extent(e.inputs[k]);
    for (std::size_t row = 0; row < rows; ++row) {
        for (std::size_t c = 0; c < own; ++c) f(row * own + c, row * width + before + c);
    }
}

}  // namespace

void run(const Add&, const Extents&, const ForwardIo& io) {
    std::fill(io.output.begin(), io.output.end(), 0.0);
    for (std::span<const double> input : io.inputs) {
        for (std::size_t i = 0; i < io.output.size(); ++i) io.output[i] += input[i];
    }
}

void run_back(const Add&, const Extents&, const BackwardIo& io) {
    for (std::span<double> d_input : io.d_inputs) {
        if (!d_input.empty()) std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
    }
}

void run(const Concat&, const Extents& e, const ForwardIo& io) {
    for (std::size_t i = 0; i < io.inputs.size(); ++i) {
        for_each_place(e, i, [&](std::size_t in, std::size_t out) { io.output[out] = io.inputs[i][in]; });
    }
}

void run_back(const Concat&, const Extents& e, const BackwardIo& io) {
    for (std::size_t i = 0; i < io.inputs.size(); ++i) {
        const std::span<double> d_input = wanted(io.d_inputs, i);
        if (d_input.empty()) continue;
        for_each_place(e, i, [&](std::size_t in, std::size_t out) { d_input[in] = io.d_output[out]; });
    }
}

}  // namespace trireme::layers::reference
