#include "layers/ops/rules.hpp"

#include <cmath>

#include <fmt/format.h>

#include "runtime/core/error.hpp"

namespace trireme::layers::rules {

Elements checked_elements(const Shape& shape, std::string_view what) {
    std::int64_t product = 1;
    for (std::int64_t extent : shape.dims()) {
        if (extent < 1) {
            throw ConfigError(
                fmt::format("{} has shape {}, with an extent of {}: every extent must be 1 or more", what,
                            shape.str(), extent));
        }
        if (extent > max_elements / product) {
            throw ConfigError(
                fmt::format("{} has shape {}, more than 2^40 elements: no tensor can be that large, make it "
                            "smaller",
                            what, shape.str()));
        }
        product *= extent;
    }
    return Elements(product);
}

void check_range(std::string_view op, std::string_view attribute, std::int64_t value, std::int64_t low,
                 std::int64_t high) {
    if (value >= low && value <= high) return;
    throw ConfigError(
        fmt::format("{}: {} is {}, but must be from {} to {}", op, attribute, value, low, high));
}

void check_range(std::string_view op, std::string_view attribute, const Pair& value, std::int64_t low,
                 std::int64_t high) {
    for (std::int64_t v : value) {
        if (v >= low && v <= high) continue;
        throw ConfigError(fmt::format("{}: {} is {}, but each number must be from {} to {}", op, attribute,
                                      str(value), low, high));
    }
}

void check_number(std::string_view op, std::string_view attribute, double value, bool valid,
                  std::string_view rule) {
    if (valid) return;
    throw ConfigError(fmt::format("{}: {} is {:.9g}, but must be {}", op, attribute, value, rule));
}

void check_last_axis(std::string_view op, const Shape& input, std::string_view meaning) {
    if (input.rank() >= 1) return;
    throw ConfigError(
        fmt::format("{}: the input has shape [] of rank 0, but rank 1 or more is needed: {}", op, meaning));
}

void check_rank(std::string_view op, const Shape& input, int rank, std::string_view meaning) {
    if (input.rank() == rank) return;
    throw ConfigError(fmt::format("{}: the input has shape {} of rank {}, but rank {} is needed: {}", op,
                                  input.str(), input.rank(), rank, meaning));
}

void check_residual(std::string_view op, const Shape& residual, std::string_view what, const Shape& shape) {
    if (residual == shape) return;
    throw ConfigError(fmt::format(
        "{}: the residual has shape {}, but the {} has {}: both must have one shape; let a convolution bring "
        "the branches together",
        op, residual.str(), what, shape.str()));
}

Pair slide(std::string_view op, const Shape& input, const Pair& kernel, const Pair& stride,
           const Pair& padding, const Pair& dilation) {
    check_range(op, "kernel", kernel, 1, max_window);
    check_range(op, "stride", stride, 1, max_window);
    check_range(op, "padding", padding, 0, max_window);
    check_range(op, "dilation", dilation, 1, max_window);
    Pair out{};
    for (std::size_t axis = 0; axis < 2; ++axis) {
        const std::int64_t reach = dilation[axis] * (kernel[axis] - 1) + 1;
        const std::int64_t padded = input[static_cast<int>(axis)] + 2 * padding[axis];
        if (reach > padded) {
            throw ConfigError(fmt::format(
                "{}: kernel {} with dilation {} spans {} {}, more than the {} of the padded input (input {}, "
                "padding {}): use a smaller kernel or dilation, more padding, or fewer layers that shrink "
                "the "
                "image",
                op, str(kernel), str(dilation), reach, axis == 0 ? "rows" : "columns", padded, input.str(),
                str(padding)));
        }
        out[axis] = (padded - reach) / stride[axis] + 1;
    }
    return out;
}

std::string str(const Pair& pair) { return fmt::format("{}x{}", pair[0], pair[1]); }

Init he_uniform(std::int64_t fan_in) {
    return {Init::Kind::uniform, std::sqrt(6.0 / static_cast<double>(fan_in))};
}

Cost elementwise_cost(double forward, double backward, const Shape& input, const Shape& output) {
    const double elements = static_cast<double>(input.elements().value);
    return {.forward_flops = forward * elements,
            .backward_input_flops = backward * elements,
            .backward_weight_flops = 0,
            .activation_bytes = activation_bytes(input, output),
            .weight_bytes = 0};
}

double activation_bytes(const Shape& input, const Shape& output) {
    return 4.0 * static_cast<double>(input.elements().value + output.elements().value);
}

double epilogue_flops(bool bias, Activation activation, const Shape& output) {
    const int passes = (bias ? 1 : 0) + (activation == Activation::none ? 0 : 1);
    return passes * static_cast<double>(output.elements().value);
}

}  // namespace trireme::layers::rules
