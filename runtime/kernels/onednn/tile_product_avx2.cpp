// Tile products of fp32 words for AVX2 with fused multiply-add.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>

#include "runtime/kernels/onednn/tile_product_body.hpp"

namespace trireme::onednn {
namespace {

struct Avx2 : Vectors<32> {
    static constexpr int rows = 4;
    static constexpr std::int64_t most_vectors = 3;
    static Words spread(const std::byte* at) { return _mm256_set1_ps(word(at)); }
    static Words multiply_add(Words a, Words b, Words sums) { return _mm256_fmadd_ps(a, b, sums); }
};

}  // namespace

TileEngine avx2_tiles() { return engine_of<Avx2>(); }

}  // namespace trireme::onednn
#endif
