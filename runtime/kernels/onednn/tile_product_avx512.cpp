// Tile products of fp32 words for AVX-512.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#include <immintrin.h>

#include "runtime/kernels/onednn/tile_product_body.hpp"

namespace trireme::onednn {
namespace {

struct Avx512 : Vectors<64> {
    static constexpr int rows = 8;
    static constexpr std::int64_t most_vectors = 3;
    static Words spread(const std::byte* at) { return _mm512_set1_ps(word(at)); }
    static Words multiply_add(Words a, Words b, Words sums) { return _mm512_fmadd_ps(a, b, sums); }
};

}  // namespace

TileEngine avx512_tiles() { return engine_of<Avx512>(); }

}  // namespace trireme::onednn
#endif
