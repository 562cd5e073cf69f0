// Elements of fp32, bf16 or fp16 in memory as doubles.
#pragma once

#include <cstring>

#include "runtime/core/bfloat16.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/float16.hpp"

namespace trireme::test {

inline double value_at(const std::byte* memory, DType dtype, std::int64_t index) {
    if (dtype == DType::f32) {
        float value = 0;
        std::memcpy(&value, memory + index * 4, sizeof(value));
        return static_cast<double>(value);
    }
    std::uint16_t half = 0;
    std::memcpy(&half, memory + index * 2, sizeof(half));
    return static_cast<double>(dtype == DType::bf16 ? float_of_bf16(half) : float_of_f16(half));
}

inline void set_value(std::byte* memory, DType dtype, std::int64_t index, double value) {
    const auto rounded = static_cast<float>(value);
    if (dtype == DType::f32) {
        std::memcpy(memory + index * 4, &rounded, sizeof(rounded));
        return;
    }
    const std::uint16_t half = dtype == DType::bf16 ? bf16_of_float(rounded) : f16_of_float(rounded);
    std::memcpy(memory + index * 2, &half, sizeof(half));
}

/// What is left of a value that is stored as `dtype`.
inline double rounded(double value, DType dtype) {
    std::byte memory[4];
    set_value(memory, dtype, 0, value);
    return value_at(memory, dtype, 0);
}

}  // namespace trireme::test
