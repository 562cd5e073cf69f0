// What the library hands out by pointer: operations, layouts, preferences, handles. Each is known from its
// making to its end, so that one that was never made, or is gone, is told and not read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <span>

#include <cublasLt.h>

namespace trireme::emulated {

/// All of one kind that live. Never destroyed itself: programs destroy their objects while they end.
template <class T>
class Living {
  public:
    [[nodiscard]] T* add(T made) {
        auto object = std::make_unique<T>(made);
        const std::scoped_lock lock(mutex_);
        living_.insert(object.get());
        return object.release();
    }
    /// Null where there is no such object.
    [[nodiscard]] T* find(const void* pointer) {
        const std::scoped_lock lock(mutex_);
        const auto found = living_.find(pointer);
        return found == living_.end() ? nullptr : const_cast<T*>(static_cast<const T*>(*found));
    }
    /// False where there is no such object.
    [[nodiscard]] bool remove(const void* pointer) {
        T* object = find(pointer);
        if (object == nullptr) return false;
        const std::scoped_lock lock(mutex_);
        living_.erase(pointer);
        delete object;
        return true;
    }
    static Living& all() {
        static auto* const living = new Living;
        return *living;
    }

  private:
    std::mutex mutex_;
    std::set<const void*> living_;
};

/// cublasLtHandle_t. It belongs to the device that was current when it was made.
struct Handle {
    int device = 0;
    int sm = 0;
    bool tf32 = true;  ///< false where NVIDIA_TF32_OVERRIDE=0 was set when it was made
    /// What the bits of split sums depend on, as on a GPU they do on its model: TRIREME_EMULATED_SEED.
    std::uint32_t salt = 1;
    bool repeats = true;  ///< false with TRIREME_EMULATED_UNREPEATABLE=1: they differ at each run
};

/// cublasLtMatmulDesc_t: the members that may be set, each of the type that the header names.
struct Operation {
    std::int32_t compute_type = 0;
    std::int32_t scale_type = 0;
    std::int32_t pointer_mode = CUBLASLT_POINTER_MODE_HOST;
    std::int32_t transpose_a = CUBLAS_OP_N;
    std::int32_t transpose_b = CUBLAS_OP_N;
    std::int32_t transpose_c = CUBLAS_OP_N;
    std::int32_t fill_mode = CUBLAS_FILL_MODE_FULL;
    std::uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void* bias = nullptr;
    std::int64_t bias_batch_stride = 0;
    void* aux = nullptr;
    std::int64_t aux_leading = 0;
    std::int64_t aux_batch_stride = 0;
    std::int32_t aux_type = -1;
    std::int32_t bias_type = -1;
};

/// cublasLtMatrixLayout_t
struct Layout {
    std::uint32_t type = 0;
    std::int32_t order = CUBLASLT_ORDER_COL;
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;
    std::int64_t leading = 0;
    std::int32_t batches = 1;
    std::int64_t batch_stride = 0;
    bool operator==(const Layout&) const = default;
};

/// cublasLtMatmulPreference_t
struct Preference {
    std::uint32_t search_mode = CUBLASLT_SEARCH_BEST_FIT;
    std::uint64_t max_workspace = 0;
    std::uint32_t reduction_schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
    std::uint32_t alignment_a = 256;
    std::uint32_t alignment_b = 256;
    std::uint32_t alignment_c = 256;
    std::uint32_t alignment_d = 256;
    float max_waves = 0;
    std::uint64_t implementations = ~std::uint64_t{0};
};

/// An attribute that may be set: its name, and the member that has it.
struct Attribute {
    int name;
    std::size_t size;
    std::size_t offset;
};

/// Writes a member of `object`. CUBLAS_STATUS_INVALID_VALUE, said on stderr, where the attribute is none of
/// `known`, `value` is null, or `size` is not the member's.
cublasStatus_t set_attribute(const char* function, std::span<const Attribute> known, void* object, int name,
                             const void* value, std::size_t size);

}  // namespace trireme::emulated
