// Tensors as bodies of kernels read and write them: elements of fp32, bf16 or fp16, computed with in fp32. A
// thread handles packs of eight elements, whose bytes it moves 16 at a time where they lie at a multiple of
// 16; so one body serves every mix of types at the speed of memory, and a tail, a row that begins anywhere or
// a pack cut by the end of a row goes element by element.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "runtime/core/bfloat16.hpp"
#include "runtime/core/dtype.hpp"
#include "runtime/core/float16.hpp"
#include "runtime/kernels/cuda/host_device.hpp"

namespace trireme::cuda {

/// Elements of a pack.
inline constexpr int pack_size = 8;

struct Pack {
    float v[pack_size];
    TRIREME_HD float& operator[](int k) { return v[k]; }
    TRIREME_HD float operator[](int k) const { return v[k]; }
};

/// f(k) for the first n places of a pack. The loop has eight turns always, so that a pack stays in registers.
template <class F>
TRIREME_HD void for_each_of(int n, const F& f) {
    for (int k = 0; k < pack_size; ++k) {
        if (k < n) f(k);
    }
}

/// The unit of memory traffic. It may lie over elements of any type.
struct [[gnu::may_alias]] alignas(16) Words {
    std::uint32_t w[4];
};

[[nodiscard]] TRIREME_HD inline bool can_move_words(const std::byte* at, int n) {
    return n == pack_size && reinterpret_cast<std::uintptr_t>(at) % sizeof(Words) == 0;
}

[[nodiscard]] TRIREME_HD constexpr float half_to_float(std::uint32_t bits, DType dtype) {
    const auto half = static_cast<std::uint16_t>(bits);
    return dtype == DType::bf16 ? float_of_bf16(half) : float_of_f16(half);
}
[[nodiscard]] TRIREME_HD constexpr std::uint16_t half_of_float(float value, DType dtype) {
    return dtype == DType::bf16 ? bf16_of_float(value) : f16_of_float(value);
}

/// A tensor that a kernel reads; null memory: there is none.
struct Source {
    const std::byte* memory = nullptr;
    DType dtype = DType::f32;

    [[nodiscard]] TRIREME_HD explicit operator bool() const { return memory != nullptr; }
    [[nodiscard]] TRIREME_HD const std::byte* at(std::int64_t i) const { return memory + i * size_of(dtype); }
    [[nodiscard]] TRIREME_HD float get(std::int64_t i) const {
        if (dtype == DType::f32) return reinterpret_cast<const float*>(memory)[i];
        return half_to_float(reinterpret_cast<const std::uint16_t*>(memory)[i], dtype);
    }
    /// Elements [first, first + n), n at most pack_size; the rest of the pack is zeros.
    [[nodiscard]] TRIREME_HD Pack read(std::int64_t first, int n) const {
        Pack pack{};
        if (!can_move_words(at(first), n)) {
            for_each_of(n, [&](int k) { pack[k] = get(first + k); });
            return pack;
        }
        const auto* words = reinterpret_cast<const Words*>(at(first));
        const Words low = words[0];
        if (dtype == DType::f32) {
            const Words high = words[1];
            for (int k = 0; k < 4; ++k) {
                pack[k] = std::bit_cast<float>(low.w[k]);
                pack[k + 4] = std::bit_cast<float>(high.w[k]);
            }
            return pack;
        }
        for (int k = 0; k < 4; ++k) {
            pack[2 * k] = half_to_float(low.w[k] & 0xffffU, dtype);
            pack[2 * k + 1] = half_to_float(low.w[k] >> 16, dtype);
        }
        return pack;
    }
};

/// A tensor that a kernel writes; null memory: it is not wanted.
struct Sink {
    std::byte* memory = nullptr;
    DType dtype = DType::f32;

    [[nodiscard]] TRIREME_HD explicit operator bool() const { return memory != nullptr; }
    [[nodiscard]] TRIREME_HD Source source() const { return {memory, dtype}; }
    TRIREME_HD void put(std::int64_t i, float value) const {
        if (dtype == DType::f32) {
            reinterpret_cast<float*>(memory)[i] = value;
        } else {
            reinterpret_cast<std::uint16_t*>(memory)[i] = half_of_float(value, dtype);
        }
    }
    TRIREME_HD void write(std::int64_t first, int n, const Pack& pack) const {
        std::byte* at = memory + first * size_of(dtype);
        if (!can_move_words(at, n)) {
            for_each_of(n, [&](int k) { put(first + k, pack[k]); });
            return;
        }
        auto* words = reinterpret_cast<Words*>(at);
        Words low{};
        if (dtype == DType::f32) {
            Words high{};
            for (int k = 0; k < 4; ++k) {
                low.w[k] = std::bit_cast<std::uint32_t>(pack[k]);
                high.w[k] = std::bit_cast<std::uint32_t>(pack[k + 4]);
            }
            words[0] = low;
            words[1] = high;
            return;
        }
        for (int k = 0; k < 4; ++k) {
            const std::uint32_t first_half = half_of_float(pack[2 * k], dtype);
            low.w[k] = first_half | static_cast<std::uint32_t>(half_of_float(pack[2 * k + 1], dtype)) << 16;
        }
        words[0] = low;
    }
};

[[nodiscard]] inline Source fp32_source(const std::byte* memory) { return {memory, DType::f32}; }

/// How many packs `elements` fill.
[[nodiscard]] TRIREME_HD constexpr std::int64_t packs_of(std::int64_t elements) {
    return (elements + pack_size - 1) / pack_size;
}

/// Pack `index` of a tensor of `elements`: its first element, and how many there are.
struct PackPlace {
    TRIREME_HD PackPlace(std::int64_t index, std::int64_t elements)
        : at(index * pack_size), n(static_cast<int>(elements - at < pack_size ? elements - at : pack_size)) {}
    std::int64_t at;
    int n;
};

/// Quotient and remainder of numbers that are not negative; in 32 bits where they fit, which is several times
/// as fast on a GPU.
struct Division {
    TRIREME_HD Division(std::int64_t number, std::int64_t by) {
        if (((number | by) >> 32) == 0) {
            const auto n = static_cast<std::uint32_t>(number);
            const auto d = static_cast<std::uint32_t>(by);
            quotient = n / d;
            remainder = n % d;
        } else {
            quotient = number / by;
            remainder = number % by;
        }
    }
    std::int64_t quotient;
    std::int64_t remainder;
};

}  // namespace trireme::cuda
