// A product in cuBLASLt's own words: what is computed (operation, epilogue), how matrices lie, and what an
// algorithm may use. All of it is host memory: it is made and checked by the library without a GPU.
#pragma once

#include <memory>
#include <type_traits>

#include <cublasLt.h>

#include "runtime/kernels/rules/column_major.hpp"

namespace trireme::cublaslt {

struct DestroyHandle {
    void operator()(cublasLtHandle_t h) const { (void)cublasLtDestroy(h); }
    void operator()(cublasLtMatmulDesc_t d) const { (void)cublasLtMatmulDescDestroy(d); }
    void operator()(cublasLtMatrixLayout_t l) const { (void)cublasLtMatrixLayoutDestroy(l); }
    void operator()(cublasLtMatmulPreference_t p) const { (void)cublasLtMatmulPreferenceDestroy(p); }
};
/// One of the library's objects, which it names by a pointer.
template <class Name>
using Owned = std::unique_ptr<std::remove_pointer_t<Name>, DestroyHandle>;

class MatmulDescription {
  public:
    /// `deterministic`: algorithms that split a sum are left out, so that a result does not depend on how
    /// many multiprocessors took part. Throws DeviceError where the library does not take a part of it.
    MatmulDescription(const ColumnProduct& product, bool deterministic);

    /// Says where the epilogue's vector and aux lie in the next launch. Host memory only.
    void set_vector(const std::byte* vector);
    void set_aux(const std::byte* aux);

    [[nodiscard]] cublasLtMatmulDesc_t operation() const { return operation_.get(); }
    [[nodiscard]] cublasLtMatrixLayout_t a() const { return a_.get(); }
    [[nodiscard]] cublasLtMatrixLayout_t b() const { return b_.get(); }
    [[nodiscard]] cublasLtMatrixLayout_t d() const { return d_.get(); }
    [[nodiscard]] cublasLtMatmulPreference_t preference() const { return preference_.get(); }

  private:
    Owned<cublasLtMatmulDesc_t> operation_;
    Owned<cublasLtMatrixLayout_t> a_;
    Owned<cublasLtMatrixLayout_t> b_;
    Owned<cublasLtMatrixLayout_t> d_;
    Owned<cublasLtMatmulPreference_t> preference_;
};

}  // namespace trireme::cublaslt
