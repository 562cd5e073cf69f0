// The element types of products, and how operands are rounded before they are multiplied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/core/bfloat16.hpp"
#include "runtime/core/float16.hpp"
#include "tests/emulated/tf32.hpp"

namespace trireme::emulated {

enum class Element : std::uint8_t { f32, bf16, f16 };

[[nodiscard]] constexpr std::int64_t size_of(Element element) { return element == Element::f32 ? 4 : 2; }

template <Element element>
[[nodiscard, gnu::always_inline]] inline float load(const std::byte* memory, std::int64_t index) {
    if constexpr (element == Element::f32) {
        float value = 0;
        std::memcpy(&value, memory + 4 * index, sizeof(value));
        return value;
    } else {
        std::uint16_t half = 0;
        std::memcpy(&half, memory + 2 * index, sizeof(half));
        return element == Element::bf16 ? float_of_bf16(half) : float_of_f16(half);
    }
}

[[nodiscard]] inline float load(Element element, const std::byte* memory, std::int64_t index) {
    switch (element) {
        case Element::f32:
            return load<Element::f32>(memory, index);
        case Element::bf16:
            return load<Element::bf16>(memory, index);
        case Element::f16:
            break;
    }
    return load<Element::f16>(memory, index);
}

inline void store(Element element, std::byte* memory, std::int64_t index, float value) {
    if (element == Element::f32) {
        std::memcpy(memory + 4 * index, &value, sizeof(value));
        return;
    }
    const std::uint16_t half = element == Element::bf16 ? bf16_of_float(value) : f16_of_float(value);
    std::memcpy(memory + 2 * index, &half, sizeof(half));
}

/// What is left of a value that was stored.
[[nodiscard]] inline float as_stored(Element element, float value) {
    std::byte memory[4];
    store(element, memory, 0, value);
    return load(element, memory, 0);
}

/// What the compute type does to fp32 operands: the FAST types convert them down.
enum class Rounding : std::uint8_t { none, tf32, bf16, f16 };

[[nodiscard]] inline float rounded(Rounding rounding, float value) {
    switch (rounding) {
        case Rounding::none:
            return value;
        case Rounding::bf16:
            return float_of_bf16(bf16_of_float(value));
        case Rounding::f16:
            return float_of_f16(f16_of_float(value));
        case Rounding::tf32:
            break;
    }
    return rounded_to_tf32(value);
}

}  // namespace trireme::emulated
