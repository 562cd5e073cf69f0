#include "runtime/exec/in_place_sum.hpp"

#include <algorithm>

#include "runtime/core/bfloat16.hpp"
#include "runtime/core/error.hpp"
#include "runtime/core/float16.hpp"
#include "runtime/device/cpu/kernel_threads.hpp"

namespace trireme {
namespace {

/// With fewer values a thread, waking the team costs more than it saves.
constexpr std::int64_t values_per_worker = 32 * 1024;

void add_floats(const float* from, float* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
}

void add_bf16(const std::uint16_t* from, std::uint16_t* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = bf16_of_float(float_of_bf16(to[i]) + float_of_bf16(from[i]));
}

void add_f16(const std::uint16_t* from, std::uint16_t* to, std::int64_t n) {
#pragma omp simd
    for (std::int64_t i = 0; i < n; ++i) to[i] = f16_of_float(float_of_f16(to[i]) + float_of_f16(from[i]));
}

}  // namespace

void add_in_place(const InPlaceSum& sum, int threads) {
    ensure(sum.dtype == DType::f32 || is_half(sum.dtype), "gradients are fp32, bf16 or fp16");
    const std::int64_t useful = std::max<std::int64_t>(1, sum.elements / values_per_worker);
    const int workers = static_cast<int>(std::min<std::int64_t>(threads, useful));
    cpu::parallel_ranges(workers, sum.elements, [&](int, std::int64_t begin, std::int64_t end) {
        if (sum.dtype == DType::f32) {
            add_floats(reinterpret_cast<const float*>(sum.from) + begin,
                       reinterpret_cast<float*>(sum.to) + begin, end - begin);
        } else {
            const auto* from = reinterpret_cast<const std::uint16_t*>(sum.from) + begin;
            auto* to = reinterpret_cast<std::uint16_t*>(sum.to) + begin;
            sum.dtype == DType::bf16 ? add_bf16(from, to, end - begin) : add_f16(from, to, end - begin);
        }
    });
}

}  // namespace trireme
