#include "tests/emulated/cublaslt/algorithms.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>

#include "tests/emulated/cublaslt/refusal.hpp"

namespace trireme::emulated {
namespace {

constexpr std::uint32_t magic = 0x7472'6c74;
constexpr std::size_t counters_size = 4096;
/// From so long sums on, those that split come first where they are allowed.
constexpr std::int64_t worth_splitting = 4;

/// Two operations of one purpose are done by the same code: sizes, leading dimensions and pointers may
/// differ.
std::uint64_t purpose_of(const Problem& p) {
    const auto turned = [](const View& v) { return v.row_stride == 1 ? 'n' : 't'; };
    const std::string text = fmt::format(
        "{}{}{}{} {} {} {} {} {} {}{}{}{}{}", turned(p.a), turned(p.b), turned(p.c), turned(p.d),
        static_cast<int>(p.a.element), static_cast<int>(p.d.element), static_cast<int>(p.rounding),
        p.scalars_on_device, static_cast<int>(p.epilogue.activation), p.epilogue.bias, p.epilogue.writes_aux,
        p.epilogue.sums_a, p.epilogue.sums_b, p.epilogue.sums_d);
    std::uint64_t hash = 0xcbf2'9ce4'8422'2325ULL;  // FNV-1a: the same in every process
    for (const char letter : text) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100'0000'01b3ULL;
    return hash;
}

std::uint64_t numerics_of(const Problem& p) {
    constexpr std::uint64_t flags = CUBLASLT_NUMERICAL_IMPL_FLAGS_ACCUMULATOR_32F;
    const Rounding rounding = p.rounding;
    if (p.a.element == Element::f16 || rounding == Rounding::f16)
        return flags | CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16F;
    if (p.a.element == Element::bf16 || rounding == Rounding::bf16)
        return flags | CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_16BF;
    if (rounding == Rounding::tf32)
        return flags | CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_TF32;
    return flags | CUBLASLT_NUMERICAL_IMPL_FLAGS_FMA | CUBLASLT_NUMERICAL_IMPL_FLAGS_INPUT_32F;
}

std::uint32_t reduction_of(Method method) {
    switch (method) {
        case Method::in_place:
            return CUBLASLT_REDUCTION_SCHEME_INPLACE;
        case Method::in_fp32:
            return CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
        case Method::in_output:
            return CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
        default:
            return CUBLASLT_REDUCTION_SCHEME_NONE;
    }
}

bool is_aligned(const View& view, std::uint8_t promised) {
    const bool one_line = view.rows == 1 || view.columns == 1;
    return promised >= 4 && (one_line || view.leading * size_of(view.element) % 16 == 0);
}

bool can(const Algorithm& algorithm, const Problem& p) {
    switch (algorithm.method) {
        case Method::any:
            return true;
        case Method::aligned:
        case Method::counters:
            return is_aligned(p.a, algorithm.promised.a) && is_aligned(p.b, algorithm.promised.b) &&
                   is_aligned(p.d, algorithm.promised.d);
        case Method::in_place:
            return p.epilogue.activation == Activation::none && !p.epilogue.has_vector() &&
                   p.k >= worth_splitting;
        case Method::in_fp32:
            return p.k >= worth_splitting;
        case Method::in_output:
            return p.d.element != Element::f32 && p.k >= worth_splitting;
    }
    return false;
}

Algorithm make(Method method, const Handle& handle, const Problem& problem, const Alignments& promised) {
    Algorithm made{};
    made.magic = magic;
    made.method = method;
    made.reduction = reduction_of(method);
    made.splits = made.reduction == CUBLASLT_REDUCTION_SCHEME_NONE ? 1 : 4;
    made.numerics = numerics_of(problem);
    made.purpose = purpose_of(problem);
    made.sm = handle.sm;
    made.promised = promised;
    return made;
}

bool prefers(const Preference& wanted, const Algorithm& algorithm, const Problem& problem) {
    if (workspace_of(algorithm, problem) > wanted.max_workspace) return false;
    if ((algorithm.reduction & ~wanted.reduction_schemes) != 0) return false;
    if ((algorithm.numerics & ~wanted.implementations) != 0) return false;
    return wanted.max_waves == 0 || wanted.max_waves >= 1;
}

void put(cublasLtMatmulHeuristicResult_t& result, const Algorithm& algorithm, const Problem& problem) {
    result = {};
    static_assert(sizeof(Algorithm) <= sizeof(result.algo));
    std::memcpy(&result.algo, &algorithm, sizeof(algorithm));
    result.workspaceSize = workspace_of(algorithm, problem);
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1;
}

/// Of epilogues that the environment takes away, so that programs do without them: a sum of
/// cublasLtEpilogue_t's bits.
bool lacks(std::uint32_t epilogue) {
    const char* const bits = std::getenv("TRIREME_EMULATED_LACKS_EPILOGUES");
    if (bits == nullptr || epilogue == CUBLASLT_EPILOGUE_DEFAULT) return false;
    return (epilogue & std::strtoul(bits, nullptr, 0)) != 0;
}

std::string bad_preference(const Preference& wanted) {
    for (const std::uint32_t bytes :
         {wanted.alignment_a, wanted.alignment_b, wanted.alignment_c, wanted.alignment_d}) {
        if (!std::has_single_bit(bytes)) return fmt::format("{} is no alignment", bytes);
    }
    if (wanted.search_mode != CUBLASLT_SEARCH_BEST_FIT)
        return fmt::format("search mode {} is not known to this double", wanted.search_mode);
    if ((wanted.reduction_schemes & ~CUBLASLT_REDUCTION_SCHEME_MASK) != 0)
        return fmt::format("{} has bits that are no reduction scheme", wanted.reduction_schemes);
    return {};
}

Alignments promised_by(const Preference& wanted, const Operation& operation) {
    const auto exponent = [](std::uint32_t bytes) {
        return static_cast<std::uint8_t>(std::min(8, std::countr_zero(bytes)));
    };
    return {exponent(wanted.alignment_a), exponent(wanted.alignment_b), exponent(wanted.alignment_c),
            exponent(wanted.alignment_d), alignment_of(operation.bias), alignment_of(operation.aux)};
}

template <class T>
cublasStatus_t give(T value, void* to, std::size_t size, std::size_t* written) {
    if (size == 0 ? written == nullptr : to == nullptr || size != sizeof(value))
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "cublasLtMatmulAlgoConfigGetAttribute",
                      fmt::format("the attribute has {} bytes", sizeof(value)));
    if (size != 0) std::memcpy(to, &value, sizeof(value));
    if (written != nullptr) *written = sizeof(value);
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

std::uint8_t alignment_of(const void* pointer) {
    return static_cast<std::uint8_t>(
        std::min(8, std::countr_zero(reinterpret_cast<std::uintptr_t>(pointer))));
}

Algorithm algorithm_of(const cublasLtMatmulAlgo_t& opaque) {
    Algorithm algorithm{};
    std::memcpy(&algorithm, &opaque, sizeof(algorithm));
    return algorithm;
}

std::size_t workspace_of(const Algorithm& algorithm, const Problem& p) {
    const auto partials = static_cast<std::size_t>(algorithm.splits * p.m * p.n * p.batches);
    switch (algorithm.method) {
        case Method::any:
        case Method::aligned:
            return 0;
        case Method::counters:
        case Method::in_place:
            return counters_size;
        case Method::in_fp32:
            return partials * sizeof(float);
        case Method::in_output:
            return partials * static_cast<std::size_t>(size_of(p.d.element));
    }
    return 0;
}

Verdict judge(const Algorithm& algorithm, const Handle& handle, const Problem& problem) {
    if (algorithm.magic != magic)
        return {CUBLAS_STATUS_INVALID_VALUE, "the algorithm is none of this library"};
    if (algorithm.sm != handle.sm)
        return {
            CUBLAS_STATUS_ARCH_MISMATCH,
            fmt::format("the algorithm was chosen for sm_{}, the device is sm_{}", algorithm.sm, handle.sm)};
    if (algorithm.purpose != purpose_of(problem))
        return {CUBLAS_STATUS_INVALID_VALUE, "the algorithm was chosen for another operation"};
    if (!can(algorithm, problem))
        return {CUBLAS_STATUS_NOT_SUPPORTED, "the algorithm cannot do matrices that lie so"};
    return {};
}

}  // namespace trireme::emulated

extern "C" {

namespace emulated = trireme::emulated;

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t* results, int* found) {
    using emulated::Method;
    const auto* preferred = emulated::Living<emulated::Preference>::all().find(preference);
    if (wanted <= 0 || results == nullptr || found == nullptr || preferred == nullptr)
        return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, "something is missing");
    *found = 0;
    const emulated::Looked looked = emulated::look(__func__, {handle, desc, a, b, c, d});
    if (looked.status != CUBLAS_STATUS_SUCCESS) return looked.status;
    if (const std::string reason = emulated::bad_preference(*preferred); !reason.empty())
        return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, reason);
    if (emulated::lacks(looked.operation->epilogue)) return CUBLAS_STATUS_NOT_SUPPORTED;
    const emulated::Alignments promised = emulated::promised_by(*preferred, *looked.operation);
    for (const Method method : {Method::in_place, Method::in_output, Method::in_fp32, Method::counters,
                                Method::aligned, Method::any}) {
        const emulated::Algorithm algorithm =
            emulated::make(method, *looked.handle, looked.problem, promised);
        if (*found == wanted || !emulated::can(algorithm, looked.problem)) continue;
        if (!emulated::prefers(*preferred, algorithm, looked.problem)) continue;
        emulated::put(results[(*found)++], algorithm, looked.problem);
    }
    return *found > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t desc,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo,
                                       cublasLtMatmulHeuristicResult_t* result) {
    if (algo == nullptr || result == nullptr)
        return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, "something is missing");
    const emulated::Looked looked = emulated::look(__func__, {handle, desc, a, b, c, d});
    if (looked.status != CUBLAS_STATUS_SUCCESS) return looked.status;
    const emulated::Algorithm algorithm = emulated::algorithm_of(*algo);
    const emulated::Verdict verdict = emulated::judge(algorithm, *looked.handle, looked.problem);
    if (verdict.status != CUBLAS_STATUS_SUCCESS)
        return emulated::refuse(verdict.status, __func__, verdict.reason);
    result->workspaceSize = emulated::workspace_of(algorithm, looked.problem);
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t name, void* value,
                                                    size_t size, size_t* written) {
    if (algo == nullptr)
        return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, "there is no algorithm");
    const emulated::Algorithm algorithm = emulated::algorithm_of(*algo);
    switch (name) {
        case CUBLASLT_ALGO_CONFIG_ID:
            return emulated::give(static_cast<std::int32_t>(algorithm.method), value, size, written);
        case CUBLASLT_ALGO_CONFIG_SPLITK_NUM:
            return emulated::give(algorithm.splits, value, size, written);
        case CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME:
            return emulated::give(algorithm.reduction, value, size, written);
        case CUBLASLT_ALGO_CONFIG_TILE_ID:
        case CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING:
        case CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION:
        case CUBLASLT_ALGO_CONFIG_STAGES_ID:
            return emulated::give(std::uint32_t{0}, value, size, written);
        case CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID:
        case CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID:
            return emulated::give(std::uint16_t{0}, value, size, written);
    }
    return emulated::refuse(CUBLAS_STATUS_INVALID_VALUE, __func__, "the attribute is not known");
}

}  // extern "C"
