// How a job computes, as far as devices differ in it.
#pragma once

#include "runtime/core/dtype.hpp"

namespace trireme {

struct Numerics {
    DType storage = DType::f32;  ///< of activations; parameters and sums are fp32 always
    bool tf32 = false;           ///< fp32 products may round their operands to TF32
    bool deterministic = false;  ///< only algorithms that repeat their bits
};

}  // namespace trireme
