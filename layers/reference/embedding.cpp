#include <cmath>

#include <fmt/format.h>

#include "layers/reference/kernels.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::reference {
namespace {

/// The row of the table that element i of the input names.
std::size_t symbol_of(const Embedding& op, std::span<const double> symbols, std::size_t i) {
    const double value = symbols[i];
    if (!(value >= 0 && value < static_cast<double>(op.vocabulary)) || value != std::floor(value)) {
        throw DataError(
            fmt::format("embedding: element {} of the batch is symbol {}, but the table has 0 to {}: check "
                        "model.vocabulary against the data set",
                        i, value, op.vocabulary - 1));
    }
    return static_cast<std::size_t>(value);
}

}  // namespace

void run(const Embedding& op, const Extents&, const ForwardIo& io) {
    const auto features = static_cast<std::size_t>(op.features);
    for (std::size_t i = 0; i < io.inputs[0].size(); ++i) {
        const auto row = io.params[0].subspan(symbol_of(op, io.inputs[0], i) * features, features);
        std::copy(row.begin(), row.end(), io.output.subspan(i * features).begin());
    }
}

void run_back(const Embedding& op, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    std::fill(d_input.begin(), d_input.end(), 0.0);  // a symbol is no number that could change a little
    const std::span<double> d_weight = wanted(io.d_params, 0);
    if (d_weight.empty()) return;
    std::fill(d_weight.begin(), d_weight.end(), 0.0);
    const auto features = static_cast<std::size_t>(op.features);
    for (std::size_t i = 0; i < io.inputs[0].size(); ++i) {
        const std::span<double> row = d_weight.subspan(symbol_of(op, io.inputs[0], i) * features, features);
        for (std::size_t f = 0; f < features; ++f) row[f] += io.d_output[i * features + f];
    }
}

void run(const PositionEmbedding&, const Extents&, const ForwardIo& io) {
    const std::span<const double> weight = io.params[0];
    for (std::size_t i = 0; i < io.output.size(); ++i)
        io.output[i] = io.inputs[0][i] + weight[i % weight.size()];
}

void run_back(const PositionEmbedding&, const Extents&, const BackwardIo& io) {
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    if (!d_input.empty()) std::copy(io.d_output.begin(), io.d_output.end(), d_input.begin());
    sum_columns(io.d_output, wanted(io.d_params, 0));  // a sample is a row as wide as the weight
}

}  // namespace trireme::layers::reference
