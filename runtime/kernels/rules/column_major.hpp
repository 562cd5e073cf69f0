// cuBLASLt multiplies column-major matrices: element (r, c) lies at c * leading + r. A row-major matrix read
// so is its transpose, and the transpose of a product is the product of the transposes in the other order:
//
//     row-major       d [rows, columns]   = a [rows, inner]      b [inner, columns]
//     column-major    D [columns, rows]   = A [columns, inner]   B [inner, rows]       A = b', B = a'
//
// So A is where b lies and B where a lies, each transposed by the library exactly where its row-major matrix
// lies transposed in memory, and nothing is copied. D's rows are our columns: a bias along our last axis is
// a vector along D's rows, as the library wants it, and the sums of a's rows are "bgradb".
#pragma once

#include <string>

#include "runtime/kernels/rules/launch_steps.hpp"

namespace trireme::cublaslt {

/// A matrix as it lies in memory.
struct ColumnMatrix {
    std::int64_t rows = 0;
    std::int64_t columns = 0;
    std::int64_t leading = 0;  ///< elements from a column to the next
    DType dtype = DType::f32;
    std::int64_t alignment = 0;  ///< bytes; of its first element
};

/// D = op(A) op(B), op the transpose or nothing.
struct ColumnProduct {
    ColumnMatrix a;
    ColumnMatrix b;
    ColumnMatrix d;
    bool transpose_a = false;
    bool transpose_b = false;
    Multiply multiply = Multiply::fp32;
    Epilogue epilogue = Epilogue::none;
    std::int64_t vector_alignment = 0;  ///< 0: no vector
    DType vector_dtype = DType::f32;
    std::int64_t aux_leading = 0;  ///< 0: no aux
    std::int64_t aux_alignment = 0;
    Bytes workspace_size{};

    /// All that an algorithm is chosen by, in one line: "tn 3072x8192x768 ld 768 768 3072 bf16 bf16 ...". Two
    /// products of one text may share a plan; the plan cache and messages use it.
    [[nodiscard]] std::string str() const;
};

/// Throws InternalError where rows overlap, a vector or aux is missing or too many, or an aux has a leading
/// dimension that the library does not take.
[[nodiscard]] ColumnProduct column_major(const Product& product);

/// The memory of a product in one launch, by the library's names. What it has not is null.
struct ProductMemory {
    const std::byte* a = nullptr;
    const std::byte* b = nullptr;
    std::byte* d = nullptr;
    const std::byte* bias = nullptr;
    std::byte* sums = nullptr;  ///< of sum_a
    std::byte* aux = nullptr;
    std::byte* workspace = nullptr;
};

[[nodiscard]] ProductMemory memory_of(const Product& product, const KernelBuffers& b);

}  // namespace trireme::cublaslt
