// Which tile products a processor gets, and those that every processor can do.
#include "runtime/kernels/onednn/tile_product.hpp"

#include <oneapi/dnnl/dnnl.hpp>

#include "runtime/core/error.hpp"
#include "runtime/kernels/onednn/tile_product_body.hpp"

namespace trireme::onednn {
namespace {

/// Vectors of four, which every processor has or its compiler makes up.
struct Baseline : Vectors<16> {
    static constexpr int rows = 4;
    static constexpr std::int64_t most_vectors = 2;
    static Words spread(const std::byte* at) { return Words{word(at), word(at), word(at), word(at)}; }
    static Words multiply_add(Words a, Words b, Words sums) { return sums + a * b; }
};

}  // namespace

TileEngine baseline_tiles() { return engine_of<Baseline>(); }

#if defined(__x86_64__)
namespace {

bool sees(dnnl::cpu_isa wanted) {
    const auto isa = static_cast<unsigned>(wanted);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & isa) == isa;
}

}  // namespace

TileEngine fp32_tiles() {
    if (sees(dnnl::cpu_isa::avx512_core)) return avx512_tiles();
    if (sees(dnnl::cpu_isa::avx2)) return avx2_tiles();
    return sees(dnnl::cpu_isa::avx) ? avx_tiles() : baseline_tiles();
}

bool has_bf16_tiles() { return sees(dnnl::cpu_isa::avx512_core_bf16); }

TileEngine bf16_tiles() {
    ensure(has_bf16_tiles(), "a processor that multiplies bf16");
    return avx512_bf16_tiles();
}
#else
TileEngine fp32_tiles() { return baseline_tiles(); }
bool has_bf16_tiles() { return false; }
TileEngine bf16_tiles() { throw InternalError("there are no tile products of bf16 for this processor"); }
#endif

}  // namespace trireme::onednn
