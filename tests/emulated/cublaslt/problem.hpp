// A product as operation and layouts describe it, made plain: transposes, orders and leading dimensions have
// become strides, the epilogue its parts. What the documentation does not allow has no problem.
#pragma once

#include <optional>
#include <string>

#include "tests/emulated/cublaslt/objects.hpp"
#include "tests/emulated/products/elements.hpp"

namespace trireme::emulated {

/// op(X): element (r, c) of batch i lies at r * row_stride + c * column_stride + i * batch_stride.
struct View {
    std::int64_t rows;
    std::int64_t columns;
    std::int64_t row_stride;
    std::int64_t column_stride;
    std::int64_t batch_stride;
    std::int64_t leading;  ///< as the layout has it
    Element element;

    [[nodiscard]] std::int64_t at(std::int64_t row, std::int64_t column, std::int64_t batch) const {
        return row * row_stride + column * column_stride + batch * batch_stride;
    }
};

enum class Activation : std::uint8_t { none, relu, gelu, relu_gradient, gelu_gradient };

/// In this order: alpha op(A) op(B) + beta C, bias, aux is written, activation; gradients of activations read
/// aux.
struct EpilogueParts {
    bool bias;
    bool writes_aux;
    bool sums_d;  ///< ..._BGRAD: a sum over the columns of D for each of its rows
    bool sums_a;  ///< BGRADA: a sum over k for each row of D
    bool sums_b;  ///< BGRADB: a sum over k for each column of D
    Activation activation;

    [[nodiscard]] bool reads_aux() const {
        return activation == Activation::relu_gradient || activation == Activation::gelu_gradient;
    }
    [[nodiscard]] bool has_aux() const { return writes_aux || reads_aux(); }
    [[nodiscard]] bool has_mask() const {
        return has_aux() && (activation == Activation::relu || activation == Activation::relu_gradient);
    }
    [[nodiscard]] bool has_sums() const { return sums_d || sums_a || sums_b; }
    [[nodiscard]] bool has_vector() const { return bias || has_sums(); }
};

/// D [m, n] = epilogue(alpha op(A) [m, k] op(B) [k, n] + beta C). Trivially copied: a queued run keeps one.
struct Problem {
    std::int64_t m;
    std::int64_t n;
    std::int64_t k;
    std::int64_t batches;
    View a;
    View b;
    View c;
    View d;
    Rounding rounding;
    bool scalars_on_device;
    EpilogueParts epilogue;
    Element vector_element;
    std::int64_t vector_batch_stride;
    std::int64_t aux_leading;  ///< bits for a mask, else elements of D's type
    std::int64_t aux_batch_stride;

    [[nodiscard]] std::int64_t vector_length() const { return epilogue.sums_b ? n : m; }
};

/// What was made of it, or the status and the words to refuse with.
struct Understood {
    std::optional<Problem> problem;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    std::string reason;
};

/// `c` null: as d.
[[nodiscard]] Understood understand(const Handle& handle, const Operation& operation, const Layout& a,
                                    const Layout& b, const Layout* c, const Layout& d);

/// The same of what a program passes to function `function`, any of which may be no object at all. Says why
/// not on stderr.
struct Asked {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t a;
    cublasLtMatrixLayout_t b;
    cublasLtMatrixLayout_t c;
    cublasLtMatrixLayout_t d;
};
struct Looked {
    Handle* handle = nullptr;
    Operation* operation = nullptr;
    Problem problem{};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
};
[[nodiscard]] Looked look(const char* function, const Asked& asked);

}  // namespace trireme::emulated
