// What the heuristics have to offer. A few algorithms, each with a property that programs must care for: one
// needs workspace, one needs alignment, some split the sum over k: their bits depend on the model of GPU.
//
// An algorithm is a piece of data (cublasLtMatmulAlgo_t) that says what it was asked for: it is refused for
// another operation, for another model of GPU, and for pointers that are less aligned than was promised.
#pragma once

#include <optional>
#include <string>

#include "tests/emulated/cublaslt/problem.hpp"

namespace trireme::emulated {

enum class Method : std::int32_t {
    any = 1,        ///< one sum; takes every alignment, uses no workspace
    aligned = 2,    ///< one sum; matrices and their lines at multiples of 16 bytes
    counters = 3,   ///< one sum; with 4 KiB of workspace
    in_place = 4,   ///< splits; partial sums meet in D, in D's type; 4 KiB of workspace
    in_fp32 = 5,    ///< splits; partial sums lie in the workspace in fp32
    in_output = 6,  ///< splits; partial sums lie in the workspace in D's type
};

/// Of what a pointer is a multiple, as exponents of 2, to 256.
struct Alignments {
    std::uint8_t a;
    std::uint8_t b;
    std::uint8_t c;
    std::uint8_t d;
    std::uint8_t vector;
    std::uint8_t aux;
};
/// 8 for null: what is not there yet is taken to be as aligned as device memory is.
[[nodiscard]] std::uint8_t alignment_of(const void* pointer);

/// What is in a cublasLtMatmulAlgo_t. Its bytes may be kept and used again with the same library and GPU.
struct Algorithm {
    std::uint32_t magic;
    Method method;
    std::int32_t splits;
    std::uint32_t reduction;  ///< cublasLtReductionScheme_t
    std::uint64_t numerics;   ///< cublasLtNumericalImplFlags_t
    std::uint64_t purpose;    ///< of the operation that it was asked for
    std::int32_t sm;
    Alignments promised;
};

[[nodiscard]] Algorithm algorithm_of(const cublasLtMatmulAlgo_t& opaque);

/// Bytes of workspace.
[[nodiscard]] std::size_t workspace_of(const Algorithm& algorithm, const Problem& problem);

/// The status and the words to refuse an algorithm with, as far as pointers have no part in it; success where
/// it fits.
struct Verdict {
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    std::string reason;
};
[[nodiscard]] Verdict judge(const Algorithm& algorithm, const Handle& handle, const Problem& problem);

}  // namespace trireme::emulated
