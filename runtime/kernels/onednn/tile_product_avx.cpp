// Tile products of fp32 words for AVX, which has no fused multiply-add.
#if defined(__x86_64__)
#pragma GCC target("avx")
#include <immintrin.h>

#include "runtime/kernels/onednn/tile_product_body.hpp"

namespace trireme::onednn {
namespace {

struct Avx : Vectors<32> {
    static constexpr int rows = 4;
    static constexpr std::int64_t most_vectors = 2;
    static Words spread(const std::byte* at) { return _mm256_set1_ps(word(at)); }
    static Words multiply_add(Words a, Words b, Words sums) { return sums + a * b; }
};

}  // namespace

TileEngine avx_tiles() { return engine_of<Avx>(); }

}  // namespace trireme::onednn
#endif
