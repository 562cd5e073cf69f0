#include "tests/emulated/cublaslt/problem.hpp"

#include <limits>

#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include "tests/emulated/cublaslt/refusal.hpp"

namespace trireme::emulated {
namespace {

/// Thrown inside this file alone.
struct Refused {
    cublasStatus_t status;
    std::string reason;
};
[[noreturn]] void invalid(std::string reason) {
    throw Refused{CUBLAS_STATUS_INVALID_VALUE, std::move(reason)};
}
[[noreturn]] void unsupported(std::string reason) {
    throw Refused{CUBLAS_STATUS_NOT_SUPPORTED, std::move(reason)};
}

Element element_of(std::int64_t type, const char* what) {
    switch (type) {
        case CUDA_R_32F:
            return Element::f32;
        case CUDA_R_16BF:
            return Element::bf16;
        case CUDA_R_16F:
            return Element::f16;
        default:
            unsupported(
                fmt::format("{} has type {}, which is not fp32, bf16 or fp16 (or no type)", what, type));
    }
}

bool is_transposed(std::int32_t operation, const char* what) {
    if (operation == CUBLAS_OP_N) return false;
    if (operation == CUBLAS_OP_T || operation == CUBLAS_OP_C) return true;  // real numbers
    invalid(fmt::format("{} is {}, which is no cublasOperation_t of real matrices", what, operation));
}

/// The documentation's table of types, without complex, integer and 8-bit ones.
Rounding rounding_of(const Operation& operation, Element a, Element d) {
    if (operation.scale_type != CUDA_R_32F)
        unsupported(fmt::format("scale type {} is not fp32", operation.scale_type));
    const bool fp32 = a == Element::f32 && d == Element::f32;
    switch (operation.compute_type) {
        case CUBLAS_COMPUTE_32F:
        case CUBLAS_COMPUTE_32F_PEDANTIC:
            if (d != Element::f32 && d != a) unsupported("compute type 32F: D is fp32 or of A's type");
            return Rounding::none;
        case CUBLAS_COMPUTE_32F_FAST_TF32:
            if (!fp32) unsupported("compute type 32F_FAST_TF32 multiplies fp32 matrices into fp32 ones");
            return Rounding::tf32;
        case CUBLAS_COMPUTE_32F_FAST_16BF:
            if (!fp32) unsupported("compute type 32F_FAST_16BF multiplies fp32 matrices into fp32 ones");
            return Rounding::bf16;
        case CUBLAS_COMPUTE_32F_FAST_16F:
            if (!fp32) unsupported("compute type 32F_FAST_16F multiplies fp32 matrices into fp32 ones");
            return Rounding::f16;
        default:
            unsupported(fmt::format("compute type {} is none that sums in fp32", operation.compute_type));
    }
}

View view_of(const Layout& layout, bool transposed, const char* what, bool broadcasts = false) {
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int32_t>::max());
    View view{};
    view.element = element_of(layout.type, what);
    if (layout.rows == 0 || layout.columns == 0) invalid(fmt::format("{} has no rows or columns", what));
    if (layout.rows > most || layout.columns > most)
        unsupported(fmt::format("{} has {} rows and {} columns: they are counted in 32 bits", what,
                                layout.rows, layout.columns));
    if (layout.order != CUBLASLT_ORDER_COL && layout.order != CUBLASLT_ORDER_ROW)
        unsupported(fmt::format("{} has order {}: neither COL nor ROW", what, layout.order));
    view.rows = static_cast<std::int64_t>(layout.rows);
    view.columns = static_cast<std::int64_t>(layout.columns);
    const bool by_columns = layout.order == CUBLASLT_ORDER_COL;
    const std::int64_t line = by_columns ? view.rows : view.columns;
    const std::int64_t lines = by_columns ? view.columns : view.rows;
    if (layout.leading < line && !(broadcasts && layout.leading == 0))
        invalid(fmt::format("{} has leading dimension {}, less than {}", what, layout.leading, line));
    if (layout.batches < 1) invalid(fmt::format("{} has {} matrices", what, layout.batches));
    if (layout.batch_stride < 0) invalid(fmt::format("{} has a negative batch stride", what));
    const bool writes = what[0] == 'D';
    if (writes && layout.batches > 1 && layout.batch_stride < (lines - 1) * layout.leading + line)
        invalid("matrices of D's batch overlap");
    view.leading = layout.leading;
    view.batch_stride = layout.batch_stride;
    view.row_stride = by_columns ? 1 : layout.leading;
    view.column_stride = by_columns ? layout.leading : 1;
    if (transposed) {
        std::swap(view.rows, view.columns);
        std::swap(view.row_stride, view.column_stride);
    }
    return view;
}

EpilogueParts parts_of(std::uint32_t epilogue) {
    constexpr std::uint32_t aux = 128;
    EpilogueParts parts{};
    switch (epilogue) {
        case CUBLASLT_EPILOGUE_DEFAULT:
        case CUBLASLT_EPILOGUE_BIAS:
            break;
        case CUBLASLT_EPILOGUE_RELU:
        case CUBLASLT_EPILOGUE_RELU_BIAS:
        case CUBLASLT_EPILOGUE_RELU_AUX:
        case CUBLASLT_EPILOGUE_RELU_AUX_BIAS:
            parts.activation = Activation::relu;
            break;
        case CUBLASLT_EPILOGUE_GELU:
        case CUBLASLT_EPILOGUE_GELU_BIAS:
        case CUBLASLT_EPILOGUE_GELU_AUX:
        case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
            parts.activation = Activation::gelu;
            break;
        case CUBLASLT_EPILOGUE_DRELU:
        case CUBLASLT_EPILOGUE_DRELU_BGRAD:
            parts.activation = Activation::relu_gradient;
            break;
        case CUBLASLT_EPILOGUE_DGELU:
        case CUBLASLT_EPILOGUE_DGELU_BGRAD:
            parts.activation = Activation::gelu_gradient;
            break;
        case CUBLASLT_EPILOGUE_BGRADA:
            parts.sums_a = true;
            break;
        case CUBLASLT_EPILOGUE_BGRADB:
            parts.sums_b = true;
            break;
        default:
            invalid(fmt::format("there is no epilogue {}", epilogue));
    }
    parts.bias = (epilogue & CUBLASLT_EPILOGUE_BIAS) != 0;
    parts.sums_d = parts.reads_aux() && (epilogue & 16U) != 0;
    parts.writes_aux = !parts.reads_aux() && (epilogue & aux) != 0;
    return parts;
}

void add_epilogue(Problem& problem, const Operation& operation, const Layout& d) {
    problem.epilogue = parts_of(operation.epilogue);
    const EpilogueParts& parts = problem.epilogue;
    problem.vector_element = problem.d.element;
    if (parts.has_vector() && operation.bias_type != -1 &&
        element_of(operation.bias_type, "the bias") != problem.d.element)
        unsupported("a bias has the type of D");
    if (operation.epilogue != CUBLASLT_EPILOGUE_DEFAULT && d.order != CUBLASLT_ORDER_COL)
        unsupported("this double knows epilogues of column-major results alone");
    problem.vector_batch_stride = operation.bias_batch_stride;
    if (!parts.has_aux()) return;
    const std::int64_t unit = parts.has_mask() ? 128 : 8;
    if (operation.aux_leading < problem.m || operation.aux_leading % unit != 0)
        invalid(fmt::format("aux has leading dimension {}: it must be a multiple of {}, and at least {}",
                            operation.aux_leading, unit, problem.m));
    if (operation.aux_batch_stride < 0 || operation.aux_batch_stride % unit != 0)
        invalid(
            fmt::format("aux has a batch stride of {}, no multiple of {}", operation.aux_batch_stride, unit));
    if (problem.batches > 1 && operation.aux_batch_stride < operation.aux_leading * problem.n)
        invalid("matrices of aux's batch overlap");
    if (operation.aux_type != -1 &&
        (parts.has_mask() || element_of(operation.aux_type, "aux") != problem.d.element))
        unsupported("aux is a mask of bits for relu, and of D's type for gelu");
    problem.aux_leading = operation.aux_leading;
    problem.aux_batch_stride = operation.aux_batch_stride;
}

/// C may have another leading dimension, and 0 as one.
void check_c(const Layout& c, const Layout& d) {
    Layout as_d = c;
    as_d.leading = d.leading;
    as_d.batch_stride = d.batch_stride;
    if (as_d == d) return;
    unsupported("C and D differ in type, rows, columns, order or number of matrices");
}

Problem made_of(const Handle& handle, const Operation& operation, const Layout& a, const Layout& b,
                const Layout& c, const Layout& d) {
    Problem problem{};
    problem.a = view_of(a, is_transposed(operation.transpose_a, "TRANSA"), "A");
    problem.b = view_of(b, is_transposed(operation.transpose_b, "TRANSB"), "B");
    check_c(c, d);
    problem.c = view_of(c, false, "C", true);
    problem.d = view_of(d, false, "D");
    problem.m = problem.d.rows;
    problem.n = problem.d.columns;
    problem.k = problem.a.columns;
    problem.batches = d.batches;
    if (problem.a.rows != problem.m || problem.b.columns != problem.n || problem.b.rows != problem.k)
        invalid(fmt::format("op(A) [{}, {}], op(B) [{}, {}] and D [{}, {}] do not fit", problem.a.rows,
                            problem.k, problem.b.rows, problem.b.columns, problem.m, problem.n));
    if (a.batches != d.batches || b.batches != d.batches)
        invalid("A, B and D have different numbers of matrices");
    if (problem.a.element != problem.b.element) unsupported("A and B have different types");
    if (operation.transpose_c != CUBLAS_OP_N) unsupported("C is not transposed");
    if (operation.fill_mode != CUBLAS_FILL_MODE_FULL) unsupported("all of D is written");
    if (operation.pointer_mode != CUBLASLT_POINTER_MODE_HOST &&
        operation.pointer_mode != CUBLASLT_POINTER_MODE_DEVICE)
        unsupported(
            fmt::format("pointer mode {} is neither HOST nor DEVICE to this double", operation.pointer_mode));
    problem.scalars_on_device = operation.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE;
    problem.rounding = rounding_of(operation, problem.a.element, problem.d.element);
    if (problem.rounding == Rounding::tf32 && !handle.tf32) problem.rounding = Rounding::none;
    add_epilogue(problem, operation, d);
    return problem;
}

}  // namespace

Understood understand(const Handle& handle, const Operation& operation, const Layout& a, const Layout& b,
                      const Layout* c, const Layout& d) {
    try {
        return {made_of(handle, operation, a, b, c != nullptr ? *c : d, d), CUBLAS_STATUS_SUCCESS, {}};
    } catch (Refused& refused) {
        return {std::nullopt, refused.status, std::move(refused.reason)};
    }
}

Looked look(const char* function, const Asked& asked) {
    Looked looked;
    const auto fail = [&](cublasStatus_t status, const std::string& reason) {
        looked.status = refuse(status, function, reason);
        return looked;
    };
    looked.handle = Living<Handle>::all().find(asked.handle);
    if (looked.handle == nullptr) return fail(CUBLAS_STATUS_NOT_INITIALIZED, "there is no such handle");
    int device = 0;
    if (cudaGetDevice(&device) != cudaSuccess || device != looked.handle->device)
        return fail(CUBLAS_STATUS_INVALID_VALUE,
                    fmt::format("the handle belongs to device {}, the current one is {}",
                                looked.handle->device, device));
    looked.operation = Living<Operation>::all().find(asked.operation);
    if (looked.operation == nullptr)
        return fail(CUBLAS_STATUS_INVALID_VALUE, "there is no such operation descriptor");
    const auto layout = [](cublasLtMatrixLayout_t name) { return Living<Layout>::all().find(name); };
    const Layout* const c = layout(asked.c);
    if (layout(asked.a) == nullptr || layout(asked.b) == nullptr || layout(asked.d) == nullptr ||
        (asked.c != nullptr && c == nullptr))
        return fail(CUBLAS_STATUS_INVALID_VALUE, "there is no such matrix layout");
    Understood understood = understand(*looked.handle, *looked.operation, *layout(asked.a), *layout(asked.b),
                                       c, *layout(asked.d));
    if (!understood.problem) return fail(understood.status, understood.reason);
    looked.problem = *understood.problem;
    return looked;
}

}  // namespace trireme::emulated
