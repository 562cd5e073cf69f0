// Element types that tensors, shards and messages can have.
#pragma once

#include <cstdint>
#include <string_view>

#include "runtime/core/strong.hpp"

namespace trireme {

enum class DType : std::uint8_t { u8, i32, i64, f32, f64, bf16, f16, u16 };

[[nodiscard]] constexpr std::int64_t size_of(DType t) {
    switch (t) {
        case DType::u8:
            return 1;
        case DType::bf16:
        case DType::f16:
        case DType::u16:
            return 2;
        case DType::i32:
        case DType::f32:
            return 4;
        case DType::i64:
        case DType::f64:
            return 8;
    }
    return 0;
}

[[nodiscard]] constexpr std::string_view name_of(DType t) {
    switch (t) {
        case DType::u8:
            return "u8";
        case DType::i32:
            return "i32";
        case DType::i64:
            return "i64";
        case DType::f32:
            return "f32";
        case DType::f64:
            return "f64";
        case DType::bf16:
            return "bf16";
        case DType::f16:
            return "f16";
        case DType::u16:
            return "u16";
    }
    return "?";
}

/// The two formats of 16 bits that activations may be stored in.
[[nodiscard]] constexpr bool is_half(DType t) { return t == DType::bf16 || t == DType::f16; }

[[nodiscard]] constexpr Bytes bytes_of(Elements n, DType t) { return Bytes(n.value * size_of(t)); }

}  // namespace trireme
