#include "runtime/kernels/rules/step_builder.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/text.hpp"

namespace trireme::cublaslt {
namespace {

/// Rows of 16-bit copies begin at multiples of 16 bytes, which the fastest kernels ask for.
constexpr std::int64_t leading_unit = 8;
/// Pieces begin at multiples of so many rows or columns, so that each is as well aligned as the whole.
constexpr std::int64_t piece_unit = 64;

std::string_view precision_name(DType dtype, Multiply multiply) {
    if (dtype == DType::bf16) return "bf16";
    if (dtype == DType::f16) return "fp16";
    return multiply == Multiply::tf32 ? "tf32" : "fp32";
}

}  // namespace

StepBuilder::StepBuilder(const NodeView& view, const StepSizes& sizes)
    : sizes_(sizes), compute_(view.compute_dtype()), training_(view.request.training) {
    if (compute_ != DType::f32) sizes_.multiply = Multiply::fp32;
}

void StepBuilder::begin(std::vector<LaunchStep> NodeSteps::*pass) {
    pass_ = pass;
    scratch_used_ = 0;
    if (sizes_.workspace.value > 0) (void)take_scratch(sizes_.workspace + Bytes(workspace_reserve));
}

Operand StepBuilder::take_scratch(Bytes size) {
    const Operand part{.place = Place::scratch, .offset = scratch_used_, .dtype = compute_};
    scratch_used_ += aligned(size).value;
    Bytes& needed = pass_ == &NodeSteps::forward ? needs().forward_scratch : needs().backward_scratch;
    needed = std::max(needed, Bytes(scratch_used_));
    return part;
}

Matrix StepBuilder::plain(Operand at, DType dtype, std::int64_t columns) const {
    at.dtype = dtype;
    return {at, columns};
}

Matrix StepBuilder::scratch(std::int64_t rows, std::int64_t leading) {
    return {take_scratch(bytes_of(Elements(rows * leading), compute_)), leading};
}

Matrix StepBuilder::converted(const Matrix& matrix, std::int64_t rows, std::int64_t columns) {
    if (matrix.at.dtype == compute_) return matrix;
    const Matrix copy = scratch(rows, round_up(columns, leading_unit));
    (steps_.*pass_).emplace_back(Convert{rows, columns, matrix, copy});
    return copy;
}

Matrix StepBuilder::packed(int param, std::int64_t rows, std::int64_t columns,
                           std::vector<LaunchStep> NodeSteps::*pack) {
    const Matrix master = plain({.place = Place::param, .index = param}, DType::f32, columns);
    if (compute_ == DType::f32) return master;
    const bool forward = pack == &NodeSteps::pack_forward;
    Bytes& size = forward ? needs().forward_weights : needs().backward_weights;
    const std::int64_t leading = round_up(columns, leading_unit);
    const Matrix copy{{.place = forward ? Place::forward_weights : Place::backward_weights,
                       .offset = size.value,
                       .dtype = compute_},
                      leading};
    size += aligned(bytes_of(Elements(rows * leading), compute_));
    (steps_.*pack).emplace_back(Convert{rows, columns, master, copy});
    return copy;
}

Operand StepBuilder::packed_vector(int param, std::int64_t size, DType dtype) {
    if (dtype == DType::f32) return {.place = Place::param, .index = param};
    return packed(param, 1, size, &NodeSteps::pack_forward).at;
}

void StepBuilder::add(Product product) {
    product.multiply = sizes_.multiply;
    product.workspace = {.place = Place::scratch};
    product.workspace_size = sizes_.workspace;
    (steps_.*pass_).emplace_back(product);
}

void StepBuilder::add_relu_gradient(std::int64_t elements, DType dtype) {
    steps_.backward_activation.emplace_back(ReluGradient{elements, dtype});
}

std::vector<StepBuilder::Piece> StepBuilder::pieces_of(const Matrix& matrix, std::int64_t extent,
                                                       std::int64_t other) const {
    if (matrix.at.dtype == compute_) return {{0, extent}};
    const std::int64_t bytes = round_up(other, leading_unit) * size_of(compute_);
    const std::int64_t fits = std::max<std::int64_t>(1, sizes_.piece.value / bytes);
    const std::int64_t count = (extent + fits - 1) / fits;
    const std::int64_t each = round_up((extent + count - 1) / count, piece_unit);
    std::vector<Piece> pieces;
    for (std::int64_t first = 0; first < extent; first += each)
        pieces.push_back({first, std::min(each, extent - first)});
    return pieces;
}

void StepBuilder::weight_gradient(const Extents& e, const Matrix& d_y, const Matrix& x, int param,
                                  bool sums) {
    const std::int64_t before = scratch_used_;
    const Matrix right = converted(x, e.rows, e.in);
    const std::int64_t shared = scratch_used_;
    for (const Piece& piece : pieces_of(d_y, e.out, e.rows)) {
        scratch_used_ = shared;
        Product product{.rows = piece.count, .columns = e.in, .inner = e.rows};
        const Matrix columns{d_y.at.from(piece.first), d_y.leading};
        product.a = transposed(converted(columns, e.rows, piece.count));
        product.b = right;
        const Operand gradient{.place = Place::d_param, .index = param};
        product.d = {gradient.from(piece.first * e.in), e.in};
        if (sums) {
            product.epilogue = Epilogue::sum_a;
            product.vector = Operand{.place = Place::d_param, .index = param + 1}.from(piece.first);
        }
        add(product);
    }
    scratch_used_ = before;
}

void StepBuilder::in_row_pieces(const Product& whole) {
    const std::int64_t before = scratch_used_;
    for (const Piece& piece : pieces_of(whole.a, whole.rows, whole.inner)) {
        scratch_used_ = before;
        Product product = whole;
        const Matrix rows{whole.a.at.from(piece.first * whole.a.leading), whole.a.leading};
        product.rows = piece.count;
        product.a = converted(rows, piece.count, whole.inner);
        product.d.at = whole.d.at.from(piece.first * whole.d.leading);
        if (whole.epilogue == Epilogue::drelu) {
            product.aux.at.offset += piece.first * whole.aux.leading / 8;
        } else if (whole.aux.at) {
            product.aux.at = whole.aux.at.from(piece.first * whole.aux.leading);
        }
        add(product);
    }
}

NodeSteps StepBuilder::take(std::string_view what) {
    steps_.rules.implementation =
        fmt::format("matmul:{}{}, workspace {}", precision_name(compute_, sizes_.multiply), what,
                    human_bytes(sizes_.workspace));
    return std::move(steps_);
}

}  // namespace trireme::cublaslt
