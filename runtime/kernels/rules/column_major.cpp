#include "runtime/kernels/rules/column_major.hpp"

#include <fmt/format.h>

#include "runtime/core/alignment.hpp"
#include "runtime/core/error.hpp"

namespace trireme::cublaslt {
namespace {

/// `rows` and `columns` are those of the row-major operand as it is multiplied.
ColumnMatrix as_it_lies(const Matrix& matrix, std::int64_t rows, std::int64_t columns) {
    const std::int64_t row_length = matrix.transposed ? rows : columns;
    ensure(rows > 0 && columns > 0, "a product has rows, columns and something between them");
    ensure(matrix.leading >= row_length, "rows of a matrix do not overlap");
    return {.rows = row_length,
            .columns = matrix.transposed ? columns : rows,
            .leading = matrix.leading,
            .dtype = matrix.at.dtype,
            .alignment = alignment_of(matrix.at)};
}

bool has_vector(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::bias:
        case Epilogue::relu_bias:
        case Epilogue::relu_aux_bias:
        case Epilogue::gelu_bias:
        case Epilogue::gelu_aux_bias:
        case Epilogue::sum_a:
            return true;
        default:
            return false;
    }
}

/// The unit of aux's leading dimension; 0 where there is no aux.
std::int64_t aux_unit(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::relu_aux_bias:
        case Epilogue::drelu:
            return 128;
        case Epilogue::gelu_aux_bias:
        case Epilogue::dgelu:
            return 8;
        default:
            return 0;
    }
}

}  // namespace

ColumnProduct column_major(const Product& product) {
    ensure(!product.d.transposed, "a result is written as it is");
    ColumnProduct result;
    result.a = as_it_lies(product.b, product.inner, product.columns);
    result.b = as_it_lies(product.a, product.rows, product.inner);
    result.d = as_it_lies(product.d, product.rows, product.columns);
    result.transpose_a = product.b.transposed;
    result.transpose_b = product.a.transposed;
    result.multiply = product.multiply;
    result.epilogue = product.epilogue;
    result.workspace_size = product.workspace_size;
    ensure(has_vector(product.epilogue) == static_cast<bool>(product.vector),
           "an epilogue has a vector exactly where it uses one");
    if (product.vector) {
        result.vector_alignment = alignment_of(product.vector);
        result.vector_dtype = product.vector.dtype;
    }
    const std::int64_t unit = aux_unit(product.epilogue);
    ensure((unit > 0) == static_cast<bool>(product.aux.at),
           "an epilogue has an aux matrix exactly where it uses one");
    if (unit > 0) {
        ensure(product.aux.leading >= product.columns && product.aux.leading % unit == 0,
               "an aux matrix has rows of a multiple of what the library takes");
        result.aux_leading = product.aux.leading;
        result.aux_alignment = alignment_of(product.aux.at);
    }
    return result;
}

ProductMemory memory_of(const Product& product, const KernelBuffers& b) {
    ProductMemory memory;
    memory.a = address_of(product.b.at, b);
    memory.b = address_of(product.a.at, b);
    memory.d = writable(product.d.at, b);
    if (product.epilogue == Epilogue::sum_a) {
        memory.sums = writable(product.vector, b);
    } else {
        memory.bias = address_of(product.vector, b);
    }
    if (product.aux.at) memory.aux = writable(product.aux.at, b);
    if (product.workspace_size.value > 0)
        memory.workspace = aligned_up(writable(product.workspace, b), workspace_alignment);
    return memory;
}

std::string ColumnProduct::str() const {
    const std::int64_t inner = transpose_a ? a.rows : a.columns;
    std::string text =
        fmt::format("{}{} {}x{}x{} ld {} {} {} {} {} {}", transpose_a ? 't' : 'n', transpose_b ? 't' : 'n',
                    d.rows, d.columns, inner, a.leading, b.leading, d.leading, trireme::name_of(a.dtype),
                    trireme::name_of(b.dtype), trireme::name_of(d.dtype));
    if (multiply == Multiply::tf32) text += " tf32";
    text += fmt::format(" align {} {} {}", a.alignment, b.alignment, d.alignment);
    if (epilogue != Epilogue::none) text += fmt::format(" {}", name_of(epilogue));
    if (vector_alignment > 0)
        text += fmt::format(" vector {} align {}", trireme::name_of(vector_dtype), vector_alignment);
    if (aux_leading > 0) text += fmt::format(" aux ld {} align {}", aux_leading, aux_alignment);
    return text + fmt::format(" workspace {}", workspace_size.value);
}

}  // namespace trireme::cublaslt
