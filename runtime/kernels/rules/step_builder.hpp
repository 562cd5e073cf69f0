// Collects the steps of one node, with the memory that they need. Only the makers of steps include this.
#pragma once

#include <string_view>

#include "runtime/kernels/node_view.hpp"
#include "runtime/kernels/rules/launch_steps.hpp"

namespace trireme::cublaslt {

struct StepSizes {
    Bytes workspace{};                   ///< of each product; all share one at the front of the scratch
    Bytes piece{};                       ///< of converted gradients at most, at a time
    Multiply multiply = Multiply::fp32;  ///< of fp32 operands
};

[[nodiscard]] inline Matrix transposed(Matrix matrix) {
    matrix.transposed = !matrix.transposed;
    return matrix;
}

class StepBuilder {
  public:
    StepBuilder(const NodeView& view, const StepSizes& sizes);

    [[nodiscard]] KernelNeeds& needs() { return steps_.rules.needs; }
    [[nodiscard]] bool training() const { return training_; }
    /// The element type of products.
    [[nodiscard]] DType compute() const { return compute_; }

    /// Steps that are added from now on belong to this pass, whose scratch is empty at first.
    void begin(std::vector<LaunchStep> NodeSteps::*pass);
    /// A matrix whose rows follow each other without a gap.
    [[nodiscard]] Matrix plain(Operand at, DType dtype, std::int64_t columns) const;
    /// Room in the scratch for a matrix of the compute type.
    [[nodiscard]] Matrix scratch(std::int64_t rows, std::int64_t leading);
    /// The matrix in the compute type: itself, or a copy in the scratch that a step of the pass fills.
    [[nodiscard]] Matrix converted(const Matrix& matrix, std::int64_t rows, std::int64_t columns);
    /// A weight in the compute type: the parameter, or a compute copy that a step of `pack` fills.
    [[nodiscard]] Matrix packed(int param, std::int64_t rows, std::int64_t columns,
                                std::vector<LaunchStep> NodeSteps::*pack);
    /// A bias in the type of what it is added to, as the library wants it. Forward's.
    [[nodiscard]] Operand packed_vector(int param, std::int64_t size, DType dtype);

    void add(Product product);
    void add_relu_gradient(std::int64_t elements, DType dtype);

    struct Extents {
        std::int64_t rows = 0;
        std::int64_t out = 0;
        std::int64_t in = 0;
    };
    /// d_params[param] [out, in] = d_y' x, and with `sums` d_params[param + 1] [out] = the sums of d_y' over
    /// the rows; d_y, where it must be converted, by pieces of its columns.
    void weight_gradient(const Extents& extents, const Matrix& d_y, const Matrix& x, int param, bool sums);
    /// The product, whose a, where it must be converted, is by pieces of its rows.
    void in_row_pieces(const Product& product);

    /// The steps; `what` stands behind "matmul:bf16" in the plan.
    [[nodiscard]] NodeSteps take(std::string_view what);

  private:
    struct Piece {
        std::int64_t first = 0;
        std::int64_t count = 0;
    };
    [[nodiscard]] std::vector<Piece> pieces_of(const Matrix& matrix, std::int64_t extent,
                                               std::int64_t other) const;
    [[nodiscard]] Operand take_scratch(Bytes size);

    NodeSteps steps_;
    std::vector<LaunchStep> NodeSteps::*pass_ = &NodeSteps::forward;
    std::int64_t scratch_used_ = 0;
    StepSizes sizes_;
    DType compute_;
    bool training_;
};

}  // namespace trireme::cublaslt
