#include <cmath>

#include <fmt/format.h>

#include "layers/reference/kernels.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::reference {
namespace {

/// log(sum exp(l)), with the largest logit taken out so that no exponential overflows.
double log_sum_exp(std::span<const double> logits) {
    const double largest = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (double l : logits) sum += std::exp(l - largest);
    return largest + std::log(sum);
}

std::size_t class_of(std::span<const double> target, std::size_t position, std::size_t classes) {
    const double value = target[position];
    if (!(value >= 0 && value < static_cast<double>(classes)) || value != std::floor(value)) {
        throw DataError(
            fmt::format("softmax_cross_entropy: target {} of the batch is class {}, but the logits have "
                        "classes 0 to {}: check the labels of the data set against model.classes",
                        position, value, classes - 1));
    }
    return static_cast<std::size_t>(value);
}

}  // namespace

void run(const SoftmaxCrossEntropy& op, const Extents& e, const ForwardIo& io) {
    const std::size_t classes = last_extent(e.inputs[0]);
    const auto positions = static_cast<std::size_t>(e.inputs[1].elements().value);
    std::fill(io.output.begin(), io.output.end(), 0.0);
    for (std::size_t i = 0; i < io.inputs[1].size(); ++i) {
        const std::span<const double> logits = io.inputs[0].subspan(i * classes, classes);
        const double normaliser = log_sum_exp(logits);
        double of_all = 0;
        for (double l : logits) of_all += normaliser - l;
        const double of_label = normaliser - logits[class_of(io.inputs[1], i, classes)];
        const double loss =
            (1 - op.label_smoothing) * of_label +
            (op.label_smoothing == 0 ? 0 : op.label_smoothing * of_all / static_cast<double>(classes));
        io.output[i / positions] += loss / static_cast<double>(positions);
    }
}

void run_back(const SoftmaxCrossEntropy& op, const Extents& e, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (d_input.empty()) return;
    const std::size_t classes = last_extent(e.inputs[0]);
    const auto positions = static_cast<std::size_t>(e.inputs[1].elements().value);
    for (std::size_t i = 0; i < io.inputs[1].size(); ++i) {
        const std::span<const double> logits = io.inputs[0].subspan(i * classes, classes);
        const double d_loss = loss_gradient(io, i / positions) / static_cast<double>(positions);
        const double normaliser = log_sum_exp(logits);
        const std::size_t label = class_of(io.inputs[1], i, classes);
        for (std::size_t c = 0; c < classes; ++c) {
            const double probability = std::exp(logits[c] - normaliser);
            const double wanted_probability =
                op.label_smoothing / static_cast<double>(classes) + (c == label ? 1 - op.label_smoothing : 0);
            d_input[i * classes + c] = d_loss * (probability - wanted_probability);
        }
    }
}

}  // namespace trireme::layers::reference
