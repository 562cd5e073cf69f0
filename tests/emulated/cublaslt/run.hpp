// One product as it was asked for, with all that it needs copied: descriptors may be gone when the stream
// gets there, and a captured one runs any number of times.
#pragma once

#include "tests/emulated/cublaslt/algorithms.hpp"

namespace trireme::emulated {

/// Trivially copied.
struct Run {
    Problem problem;
    Algorithm algorithm;
    const std::byte* a;
    const std::byte* b;
    const std::byte* c;
    std::byte* d;
    std::byte* vector;
    std::byte* aux;
    std::byte* workspace;
    std::size_t workspace_size;
    float alpha;  ///< in host memory; else read when it runs
    float beta;
    const std::byte* alpha_on_device;
    const std::byte* beta_on_device;
    std::uint32_t salt;  ///< see Handle
    bool repeats;
};

/// Does it on the calling thread. The workspace is overwritten whole.
void execute(const Run& run);

}  // namespace trireme::emulated
