#include <cmath>

#include "layers/reference/kernels.hpp"

namespace trireme::layers::reference {
namespace {

/// (x - mean) / sqrt(variance + eps) of one row.
struct Row {
    std::vector<double> normalised;
    double inverse_deviation = 0;
};

Row normalised_row(const LayerNorm& op, std::span<const double> x) {
    const auto n = static_cast<double>(x.size());
    double mean = 0;
    for (double v : x) mean += v;
    mean /= n;
    double variance = 0;
    for (double v : x) variance += (v - mean) * (v - mean);
    variance /= n;
    Row row;
    row.inverse_deviation = 1 / std::sqrt(variance + op.eps);
    for (double v : x) row.normalised.push_back((v - mean) * row.inverse_deviation);
    return row;
}

}  // namespace

void run(const LayerNorm& op, const Extents& e, const ForwardIo& io) {
    const std::size_t width = last_extent(e.inputs[0]);
    for (std::size_t start = 0; start < io.output.size(); start += width) {
        const Row row = normalised_row(op, io.inputs[0].subspan(start, width));
        for (std::size_t i = 0; i < width; ++i) {
            io.output[start + i] = row.normalised[i] * io.params[0][i] + io.params[1][i];
        }
    }
}

void run_back(const LayerNorm& op, const Extents& e, const BackwardIo& io) {
    const std::size_t width = last_extent(e.inputs[0]);
    const std::span<double> d_input = wanted(io.d_inputs, 0);
    const std::span<double> d_weight = wanted(io.d_params, 0);
    std::fill(d_weight.begin(), d_weight.end(), 0.0);
    sum_columns(io.d_output, wanted(io.d_params, 1));
    for (std::size_t start = 0; start < io.d_output.size(); start += width) {
        const Row row = normalised_row(op, io.inputs[0].subspan(start, width));
        double sum = 0;
        double projection = 0;
        for (std::size_t i = 0; i < width; ++i) {
            const double d_out = io.d_output[start + i];
            if (!d_weight.empty()) d_weight[i] += d_out * row.normalised[i];
            sum += d_out * io.params[0][i];
            projection += d_out * io.params[0][i] * row.normalised[i];
        }
        if (d_input.empty()) continue;
        for (std::size_t i = 0; i < width; ++i) {
            const double taken = (sum + row.normalised[i] * projection) / static_cast<double>(width);
            d_input[start + i] = row.inverse_deviation * (io.d_output[start + i] * io.params[0][i] - taken);
        }
    }
}

}  // namespace trireme::layers::reference
