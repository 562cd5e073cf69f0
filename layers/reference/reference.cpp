#include "layers/reference/reference.hpp"

#include <fmt/format.h>

#include "layers/reference/kernels.hpp"
#include "runtime/core/error.hpp"

namespace trireme::layers::reference {
namespace {

std::size_t elements_of(const Shape& shape, std::int64_t batch) {
    return static_cast<std::size_t>(shape.elements().value * batch);
}

void expect_size(std::string_view what, std::size_t is, std::size_t should) {
    ensure(is == should, fmt::format("reference: {} has {} elements, should have {}", what, is, should));
}

void expect_inputs(const std::vector<std::span<const double>>& inputs, const std::vector<Shape>& shapes,
                   std::int64_t batch) {
    expect_size("the list of inputs", inputs.size(), shapes.size());
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        expect_size("an input", inputs[i].size(), elements_of(shapes[i], batch));
    }
}

void expect_gradients(const std::vector<std::span<double>>& gradients,
                      const std::vector<std::span<const double>>& values) {
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        if (!gradients[i].empty()) expect_size("a gradient", gradients[i].size(), values.at(i).size());
    }
}

/// Evaluation of a batch norm reads its buffers, training of a dropout its context.
template <class Io>
void expect_mode(const Op& op, const std::vector<Shape>& input_shapes, const Io& io) {
    if (io.training) {
        ensure(!std::holds_alternative<Dropout>(op) || !io.node_name.empty(),
               "reference: a dropout draws its mask by the name of its node");
        return;
    }
    const std::vector<BufferSpec> specs = buffers_of(op, input_shapes.front(), "node");
    if (specs.empty()) return;
    expect_size("the list of buffers", io.buffers.size(), specs.size());
    for (std::size_t i = 0; i < specs.size(); ++i) {
        expect_size("a buffer", io.buffers[i].size(), elements_of(specs[i].shape, 1));
    }
}

}  // namespace

void forward(const Op& op, const std::vector<Shape>& input_shapes, const Shape& output_shape,
             std::int64_t batch, const ForwardIo& io) {
    expect_inputs(io.inputs, input_shapes, batch);
    expect_size("the output", io.output.size(), elements_of(output_shape, batch));
    expect_mode(op, input_shapes, io);
    if (!io.statistics.empty()) {
        expect_size("the statistics", io.statistics.size(),
                    static_cast<std::size_t>(statistics_of(op, input_shapes.front())));
    }
    const Extents extents{input_shapes, output_shape, batch};
    std::visit([&](const auto& o) { run(o, extents, io); }, op);
}

void backward(const Op& op, const std::vector<Shape>& input_shapes, const Shape& output_shape,
              std::int64_t batch, const BackwardIo& io) {
    expect_inputs(io.inputs, input_shapes, batch);
    expect_mode(op, input_shapes, io);
    if (!is_loss(op) || !io.d_output.empty()) {
        expect_size("the gradient of the output", io.d_output.size(), elements_of(output_shape, batch));
    }
    if (backward_needs(op).output) {
        expect_size("the output", io.output.size(), elements_of(output_shape, batch));
    }
    expect_gradients(io.d_inputs, io.inputs);
    expect_gradients(io.d_params, io.params);
    const Extents extents{input_shapes, output_shape, batch};
    std::visit([&](const auto& o) { run_back(o, extents, io); }, op);
}

}  // namespace trireme::layers::reference
