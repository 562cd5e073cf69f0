#include "runtime/kernels/cublaslt/matmul_description.hpp"

#include "runtime/core/error.hpp"
#include "runtime/kernels/cublaslt/status.hpp"

namespace trireme::cublaslt {
namespace {

cudaDataType_t type_of(DType dtype) {
    switch (dtype) {
        case DType::f32:
            return CUDA_R_32F;
        case DType::bf16:
            return CUDA_R_16BF;
        case DType::f16:
            return CUDA_R_16F;
        default:
            throw InternalError("products are made of fp32, bf16 and fp16");
    }
}

cublasLtEpilogue_t epilogue_of(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::none:
            return CUBLASLT_EPILOGUE_DEFAULT;
        case Epilogue::bias:
            return CUBLASLT_EPILOGUE_BIAS;
        case Epilogue::relu:
            return CUBLASLT_EPILOGUE_RELU;
        case Epilogue::relu_bias:
            return CUBLASLT_EPILOGUE_RELU_BIAS;
        case Epilogue::relu_aux_bias:
            return CUBLASLT_EPILOGUE_RELU_AUX_BIAS;
        case Epilogue::gelu_bias:
            return CUBLASLT_EPILOGUE_GELU_BIAS;
        case Epilogue::gelu_aux_bias:
            return CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
        case Epilogue::drelu:
            return CUBLASLT_EPILOGUE_DRELU;
        case Epilogue::dgelu:
            return CUBLASLT_EPILOGUE_DGELU;
        case Epilogue::sum_a:
            return CUBLASLT_EPILOGUE_BGRADB;
    }
    throw InternalError("an epilogue without a name in cuBLASLt");
}

template <class T>
void set(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t name, const T& value) {
    check(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof(value)), "describing a product");
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const T& value) {
    check(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof(value)),
          "saying what its algorithm may use");
}

Owned<cublasLtMatrixLayout_t> layout_of(const ColumnMatrix& matrix) {
    cublasLtMatrixLayout_t layout = nullptr;
    check(cublasLtMatrixLayoutCreate(&layout, type_of(matrix.dtype), static_cast<std::uint64_t>(matrix.rows),
                                     static_cast<std::uint64_t>(matrix.columns), matrix.leading),
          "describing a matrix");
    return Owned<cublasLtMatrixLayout_t>(layout);
}

Owned<cublasLtMatmulDesc_t> operation_of(const ColumnProduct& product) {
    const cublasComputeType_t compute =
        product.multiply == Multiply::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    cublasLtMatmulDesc_t made = nullptr;
    check(cublasLtMatmulDescCreate(&made, compute, CUDA_R_32F), "describing a product");
    Owned<cublasLtMatmulDesc_t> operation(made);
    set(made, CUBLASLT_MATMUL_DESC_TRANSA, product.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(made, CUBLASLT_MATMUL_DESC_TRANSB, product.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(made, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(product.epilogue));
    if (product.aux_leading > 0) set(made, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, product.aux_leading);
    return operation;
}

/// How the parts of a split sum may meet. Unless this says otherwise they may be rounded to D's type before
/// they are added, in the workspace or in D itself, and sums are to be fp32.
std::uint32_t reductions_of(const ColumnProduct& product, bool deterministic) {
    if (deterministic) return CUBLASLT_REDUCTION_SCHEME_NONE;
    return product.d.dtype == DType::f32 ? CUBLASLT_REDUCTION_SCHEME_MASK
                                         : CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
}

Owned<cublasLtMatmulPreference_t> preference_of(const ColumnProduct& product, bool deterministic) {
    cublasLtMatmulPreference_t made = nullptr;
    check(cublasLtMatmulPreferenceCreate(&made), "saying what its algorithm may use");
    Owned<cublasLtMatmulPreference_t> preference(made);
    set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
        static_cast<std::uint64_t>(product.workspace_size.value));
    const auto bytes = [](const ColumnMatrix& matrix) {
        return static_cast<std::uint32_t>(matrix.alignment);
    };
    set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, bytes(product.a));
    set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, bytes(product.b));
    set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, bytes(product.d));
    set(made, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, bytes(product.d));
    set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reductions_of(product, deterministic));
    return preference;
}

/// The library tells what a pointer is aligned to from its value, before there is memory.
const std::byte* aligned_to(std::int64_t alignment) {
    return reinterpret_cast<const std::byte*>(static_cast<std::uintptr_t>(alignment));
}

}  // namespace

MatmulDescription::MatmulDescription(const ColumnProduct& product, bool deterministic)
    : operation_(operation_of(product)),
      a_(layout_of(product.a)),
      b_(layout_of(product.b)),
      d_(layout_of(product.d)),
      preference_(preference_of(product, deterministic)) {
    if (product.vector_alignment > 0) set_vector(aligned_to(product.vector_alignment));
    if (product.aux_alignment > 0) set_aux(aligned_to(product.aux_alignment));
}

void MatmulDescription::set_vector(const std::byte* vector) {
    set(operation(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
}

void MatmulDescription::set_aux(const std::byte* aux) {
    set(operation(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
}

}  // namespace trireme::cublaslt
