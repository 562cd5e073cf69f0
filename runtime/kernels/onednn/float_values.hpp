// Tensors of our own loops, whose values are fp32 or bf16. The loops compute in fp32 on pieces (rows, blocks
// of rows): a piece of an fp32 tensor is used where it lies, a piece of a bf16 tensor goes through a small
// buffer that stays in the first cache. So there is one loop for all types, and fp32 pays nothing.
//
//     const float* x = in.read(at, n, x_buffer);       float* y = out.open(at, y_buffer);
//     ... y[i] = f(x[i]) ...                           out.close(at, n, y);
//
// All functions are always inlined, so that they are compiled for the vectors of the loop around them
// (vector_loops.hpp).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "runtime/core/alignment.hpp"
#include "runtime/core/bfloat16.hpp"
#include "runtime/core/dtype.hpp"

namespace trireme::onednn {

/// Floats of a row of `n` of them with the padding that brings the next row to a cache line of its own.
[[nodiscard]] inline std::int64_t padded_floats(std::int64_t n) {
    return aligned(Elements(n), DType::f32).value;
}

[[gnu::always_inline]] inline void add_to(float* sum, const float* term, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) sum[i] += term[i];
}

[[gnu::always_inline]] inline void widen(const std::uint16_t* from, std::int64_t n, float* to) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = float_of_bf16(from[i]);
}

[[gnu::always_inline]] inline void narrow(const float* from, std::int64_t n, std::uint16_t* to) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = bf16_of_float(from[i]);
}

/// A tensor that a loop reads.
class FloatSource {
  public:
    FloatSource(const std::byte* memory, DType dtype) : memory_(memory), is_bf16_(dtype == DType::bf16) {}

    /// Elements [at, at + n) as fp32: where they lie, or converted into `buffer`, which has room for n.
    [[nodiscard, gnu::always_inline]] const float* read(std::int64_t at, std::int64_t n,
                                                        float* buffer) const {
        if (!is_bf16_) return reinterpret_cast<const float*>(memory_) + at;
        widen(reinterpret_cast<const std::uint16_t*>(memory_) + at, n, buffer);
        return buffer;
    }

  private:
    const std::byte* memory_;
    bool is_bf16_;
};

/// A tensor that a loop writes.
class FloatSink {
  public:
    FloatSink(std::byte* memory, DType dtype) : memory_(memory), is_bf16_(dtype == DType::bf16) {}

    /// Where the values from element `at` on are to be written: in place, or `buffer`.
    [[nodiscard, gnu::always_inline]] float* open(std::int64_t at, float* buffer) const {
        return is_bf16_ ? buffer : reinterpret_cast<float*>(memory_) + at;
    }
    /// Writes n values that lie elsewhere, or in place already.
    [[gnu::always_inline]] void store(std::int64_t at, std::int64_t n, const float* values) const {
        if (is_bf16_) {
            narrow(values, n, reinterpret_cast<std::uint16_t*>(memory_) + at);
        } else if (float* to = reinterpret_cast<float*>(memory_) + at; to != values) {
            std::copy_n(values, n, to);
        }
    }
    /// After the n values that open() made room for are written.
    [[gnu::always_inline]] void close(std::int64_t at, std::int64_t n, const float* values) const {
        if (is_bf16_) narrow(values, n, reinterpret_cast<std::uint16_t*>(memory_) + at);
    }

  private:
    std::byte* memory_;
    bool is_bf16_;
};

}  // namespace trireme::onednn
