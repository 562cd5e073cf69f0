// A node of a request with what all families of kernels ask of it.
#pragma once

#include "runtime/kernels/kernel.hpp"

namespace trireme {

struct NodeView {
    explicit NodeView(const KernelRequest& r)
        : request(r),
          node(r.graph->node(r.node)),
          input(r.graph->tensor(node.inputs.front()).shape),
          output(r.graph->tensor(node.output).shape) {}

    /// Vectors along the last axis in one launch: batch times the extents before it.
    [[nodiscard]] std::int64_t rows() const { return request.batch * input.elements().value / width(); }
    /// Extent of the input's last axis.
    [[nodiscard]] std::int64_t width() const { return input[input.rank() - 1]; }
    [[nodiscard]] std::int64_t outputs() const { return request.batch * output.elements().value; }
    [[nodiscard]] const Shape& input_shape(std::size_t index) const {
        return request.graph->tensor(node.inputs.at(index)).shape;
    }
    /// Element type of an input, and of its gradient.
    [[nodiscard]] DType input_dtype(std::size_t index = 0) const {
        return request.graph->tensor(node.inputs.at(index)).dtype;
    }
    [[nodiscard]] DType output_dtype() const { return request.graph->tensor(node.output).dtype; }
    /// What is precise enough for all operands: 16 bits where the first input and the output have them.
    [[nodiscard]] DType widest_dtype() const { return is_half(input_dtype()) ? output_dtype() : DType::f32; }
    /// What products are formed of: 16 bits where the first input or the output has them.
    [[nodiscard]] DType compute_dtype() const {
        return is_half(input_dtype()) ? input_dtype() : output_dtype();
    }

    const KernelRequest& request;
    const layers::Node& node;
    const Shape& input;
    const Shape& output;
};

}  // namespace trireme
