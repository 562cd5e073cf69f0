#include <cmath>

#include <fmt/format.h>

#include "layers/reference/kernels.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::reference {
namespace {

/// The target of output i of sample n, which a bce reads as a probability.
double probability_of(std::span<const double> targets, std::size_t n, std::size_t outputs, std::size_t i) {
    const double target = targets[n * outputs + i];
    if (!(target >= 0 && target <= 1)) {
        throw DataError(fmt::format(
            "bce_with_logits: sample {} of the batch has {} as target {}, but targets must be from 0 to 1: "
            "check the labels of the data set, or use model.loss = mse",
            n, target, i));
    }
    return target;
}

}  // namespace

/// -t log s(x) - (1 - t) log(1 - s(x)) = max(x, 0) - t x + log(1 + exp(-|x|)), whose exponent is never
/// positive.
void run(const BceWithLogits&, const Extents& e, const ForwardIo& io) {
    const std::size_t outputs = last_extent(e.inputs[0]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(e.batch); ++n) {
        double sum = 0;
        for (std::size_t i = 0; i < outputs; ++i) {
            const double x = io.inputs[0][n * outputs + i];
            const double target = probability_of(io.inputs[1], n, outputs, i);
            sum += std::max(x, 0.0) - target * x + std::log1p(std::exp(-std::abs(x)));
        }
        io.output[n] = sum / static_cast<double>(outputs);
    }
}

void run_back(const BceWithLogits&, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (d_input.empty()) return;
    const std::size_t outputs = last_extent(e.inputs[0]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(e.batch); ++n) {
        const double share = loss_gradient(io, n) / static_cast<double>(outputs);
        for (std::size_t i = 0; i < outputs; ++i) {
            const double sigmoid = 1 / (1 + std::exp(-io.inputs[0][n * outputs + i]));
            d_input[n * outputs + i] = share * (sigmoid - probability_of(io.inputs[1], n, outputs, i));
        }
    }
}

void run(const MeanSquaredError&, const Extents& e, const ForwardIo& io) {
    const std::size_t outputs = last_extent(e.inputs[0]);
    for (std::size_t n = 0; n < static_cast<std::size_t>(e.batch); ++n) {
        double sum = 0;
        for (std::size_t i = n * outputs; i < (n + 1) * outputs; ++i) {
            const double difference = io.inputs[0][i] - io.inputs[1][i];
            sum += difference * difference;
        }
        io.output[n] = sum / static_cast<double>(outputs);
    }
}

void run_back(const MeanSquaredError&, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const std::size_t outputs = last_extent(e.inputs[0]);
    for (std::size_t i = 0; i < d_input.size(); ++i) {
        const double share = loss_gradient(io, i / outputs) / static_cast<double>(outputs);
        d_input[i] = 2 * share * (io.inputs[0][i] - io.inputs[1][i]);
    }
}

}  // namespace trireme::layers::reference
