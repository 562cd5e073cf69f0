// Tile products of pairs of bf16 for AVX-512 BF16. One instruction multiplies two pairs and adds both
// products to an fp32 sum; numbers below the normal range count as zero.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,prefer-vector-width=512")
#include <immintrin.h>

#include "runtime/kernels/onednn/tile_product_body.hpp"

namespace trireme::onednn {
namespace {

struct Avx512Bf16 : Vectors<64> {
    static constexpr int rows = 8;
    static constexpr std::int64_t most_vectors = 3;
    static constexpr std::int64_t word_values = 2;
    static Words spread(const std::byte* at) { return _mm512_set1_ps(word(at)); }
    static Words multiply_add(Words a, Words b, Words sums) {
        return _mm512_dpbf16_ps(sums, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
    }
};

}  // namespace

TileEngine avx512_bf16_tiles() { return engine_of<Avx512Bf16>(); }

}  // namespace trireme::onednn
#endif
