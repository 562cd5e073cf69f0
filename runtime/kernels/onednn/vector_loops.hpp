// Our own loops, compiled for the widest vectors of the processor. The build targets the oldest processor
// that we run on (SSE2), so a loop over memory that lies in a cache would use a quarter of it; oneDNN makes
// its code at run time and does not have that problem. Here each loop is compiled three times, and the
// processor chooses.
//
// Element-wise loops give the same bits in all three: contraction of a*b+c is off. Sums along a vector do
// not; that is why bits are promised for one instruction set. ONEDNN_MAX_CPU_ISA lowers both kinds of code.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

namespace trireme::onednn {

enum class VectorSet { baseline, avx2, avx512 };

/// What this processor has, as oneDNN tells it.
[[nodiscard]] inline VectorSet vector_set() {
    const auto isa = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
    const auto has = [isa](dnnl::cpu_isa wanted) {
        return (isa & static_cast<unsigned>(wanted)) == static_cast<unsigned>(wanted);
    };
    if (has(dnnl::cpu_isa::avx512_core)) return VectorSet::avx512;
    return has(dnnl::cpu_isa::avx2) ? VectorSet::avx2 : VectorSet::baseline;
}

namespace detail {

template <class Loop>
void run_baseline(const Loop& loop) {
    loop();
}

#if defined(__x86_64__)
template <class Loop>
__attribute__((target("avx2"))) void run_avx2(const Loop& loop) {
    loop();
}
template <class Loop>
__attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))) void run_avx512(
    const Loop& loop) {
    loop();
}
#else
template <class Loop>
void run_avx2(const Loop& loop) {
    loop();
}
template <class Loop>
void run_avx512(const Loop& loop) {
    loop();
}
#endif

}  // namespace detail

/// Calls loop() compiled for `set`. The lambda and what it calls must be marked always_inline: only then are
/// they compiled with the vectors of the function that they end up in.
template <class Loop>
void run_vectors(VectorSet set, const Loop& loop) {
    if (set == VectorSet::avx512) return detail::run_avx512(loop);
    if (set == VectorSet::avx2) return detail::run_avx2(loop);
    detail::run_baseline(loop);
}

}  // namespace trireme::onednn
