// One sum of two tensors, onto the first: what the instructions that add gradients do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/core/dtype.hpp"

namespace trireme {

/// to[i] += from[i]; fp32, or bf16 or fp16, which are added in fp32 and rounded once.
struct InPlaceSum {
    const std::byte* from = nullptr;
    std::byte* to = nullptr;
    std::int64_t elements = 0;
    DType dtype = DType::f32;
};

/// On up to `threads` kernel threads; the same bits on any number of them.
void add_in_place(const InPlaceSum& sum, int threads);

}  // namespace trireme
