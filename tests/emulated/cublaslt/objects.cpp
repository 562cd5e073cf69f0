#include "tests/emulated/cublaslt/objects.hpp"

#include <cstring>

#include <fmt/format.h>

#include "tests/emulated/cublaslt/refusal.hpp"

namespace trireme::emulated {

cublasStatus_t set_attribute(const char* function, std::span<const Attribute> known, void* object, int name,
                             const void* value, std::size_t size) {
    if (object == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "there is no such object");
    for (const Attribute& attribute : known) {
        if (attribute.name != name) continue;
        if (value == nullptr || size != attribute.size) {
            return refuse(CUBLAS_STATUS_INVALID_VALUE, function,
                          fmt::format("attribute {} has {} bytes, not {}", name, attribute.size,
                                      value == nullptr ? 0 : size));
        }
        std::memcpy(static_cast<char*>(object) + attribute.offset, value, size);
        return CUBLAS_STATUS_SUCCESS;
    }
    return refuse(CUBLAS_STATUS_INVALID_VALUE, function,
                  fmt::format("attribute {} is not known to this double", name));
}

namespace {

#define TRIREME_ATTRIBUTE(name, object, member) \
    Attribute { name, sizeof(object::member), offsetof(object, member) }

constexpr Attribute operation_attributes[] = {
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, Operation, compute_type),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_SCALE_TYPE, Operation, scale_type),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_POINTER_MODE, Operation, pointer_mode),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSA, Operation, transpose_a),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSB, Operation, transpose_b),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSC, Operation, transpose_c),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_FILL_MODE, Operation, fill_mode),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE, Operation, epilogue),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, Operation, bias),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, Operation, bias_batch_stride),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, Operation, aux),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, Operation, aux_leading),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, Operation, aux_batch_stride),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, Operation, aux_type),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, Operation, bias_type),
};

constexpr Attribute layout_attributes[] = {
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_TYPE, Layout, type),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ORDER, Layout, order),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ROWS, Layout, rows),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_COLS, Layout, columns),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_LD, Layout, leading),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, Layout, batches),
    TRIREME_ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, Layout, batch_stride),
};

constexpr Attribute preference_attributes[] = {
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_SEARCH_MODE, Preference, search_mode),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, Preference, max_workspace),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, Preference, reduction_schemes),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, Preference, alignment_a),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, Preference, alignment_b),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, Preference, alignment_c),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, Preference, alignment_d),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WAVES_COUNT, Preference, max_waves),
    TRIREME_ATTRIBUTE(CUBLASLT_MATMUL_PREF_IMPL_MASK, Preference, implementations),
};

#undef TRIREME_ATTRIBUTE

template <class T, class Name>
cublasStatus_t create(const char* function, Name* name, const T& made) {
    if (name == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "nowhere to put it");
    *name = reinterpret_cast<Name>(Living<T>::all().add(made));
    return CUBLAS_STATUS_SUCCESS;
}

template <class T>
cublasStatus_t destroy(const char* function, const void* name) {
    if (Living<T>::all().remove(name)) return CUBLAS_STATUS_SUCCESS;
    return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "there is no such object");
}

template <class T>
cublasStatus_t set(const char* function, std::span<const Attribute> known, const void* object, int name,
                   const void* value, std::size_t size) {
    return set_attribute(function, known, Living<T>::all().find(object), name, value, size);
}

}  // namespace
}  // namespace trireme::emulated

extern "C" {

namespace emulated = trireme::emulated;

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
    return emulated::create(__func__, desc,
                            emulated::Operation{.compute_type = compute, .scale_type = scale});
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
    return emulated::destroy<emulated::Operation>(__func__, desc);
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t name,
                                              const void* value, size_t size) {
    return emulated::set<emulated::Operation>(__func__, emulated::operation_attributes, desc, name, value,
                                              size);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
    emulated::Layout made;
    made.type = static_cast<std::uint32_t>(type);
    made.rows = rows;
    made.columns = columns;
    made.leading = leading;
    return emulated::create(__func__, layout, made);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    return emulated::destroy<emulated::Layout>(__func__, layout);
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t name, const void* value,
                                                size_t size) {
    return emulated::set<emulated::Layout>(__func__, emulated::layout_attributes, layout, name, value, size);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
    return emulated::create(__func__, preference, emulated::Preference{});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    return emulated::destroy<emulated::Preference>(__func__, preference);
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t name,
                                                    const void* value, size_t size) {
    return emulated::set<emulated::Preference>(__func__, emulated::preference_attributes, preference, name,
                                               value, size);
}

}  // extern "C"
