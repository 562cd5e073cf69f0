// What follows a product of matrices where the library has no epilogue for it: bias, activation and their
// gradients, over rows that may lie apart. As epilogues of the library do, forward keeps in `aux` what
// backward needs: of gelu the values that it was taken of, of relu one bit a value, pack by pack a byte.
#pragma once

#include "runtime/kernels/cuda/bodies/column_sums.hpp"
#include "runtime/kernels/cuda/bodies/elementwise.hpp"

namespace trireme::cuda {

enum class Finish { nothing, relu, gelu, relu_gradient, gelu_gradient };

/// In place on d [rows, width]. Index: a pack of one row.
struct FinishProduct {
    std::int64_t width = 0;
    Finish finish = Finish::nothing;
    Sink d;
    std::int64_t d_stride = 0;    ///< elements of a row
    Source bias;                  ///< null: none
    Sink aux;                     ///< null: none is kept
    std::int64_t aux_stride = 0;  ///< elements of a row; of a mask, bits, a multiple of eight

    TRIREME_HD void operator()(std::int64_t index) const {
        const Division row(index, packs_of(width));
        const PackPlace place(row.remainder, width);
        const std::int64_t at = row.quotient * d_stride + place.at;
        const std::int64_t aux_at = row.quotient * aux_stride + place.at;
        Pack pack = d.source().read(at, place.n);
        if (finish == Finish::relu_gradient) {
            const auto bits = std::to_integer<unsigned>(aux.memory[aux_at / pack_size]);
            for (int k = 0; k < pack_size; ++k) pack[k] = (bits >> k & 1U) != 0 ? pack[k] : 0.0F;
        } else if (finish == Finish::gelu_gradient) {
            const Pack before = aux.source().read(aux_at, place.n);
            for (int k = 0; k < pack_size; ++k) pack[k] = GeluTanhSlope{}(pack[k], before[k]);
        } else {
            forward(pack, place, aux_at);
        }
        d.write(at, place.n, pack);
    }

  private:
    TRIREME_HD void forward(Pack& pack, const PackPlace& place, std::int64_t aux_at) const {
        if (bias) {
            const Pack more = bias.read(place.at, place.n);
            for (int k = 0; k < pack_size; ++k) pack[k] += more[k];
        }
        if (aux && finish == Finish::relu) {
            unsigned bits = 0;
            for_each_of(place.n, [&](int k) { bits |= pack[k] > 0 ? 1U << k : 0U; });
            aux.memory[aux_at / pack_size] = static_cast<std::byte>(bits);
        } else if (aux) {
            aux.write(aux_at, place.n, pack);
        }
        if (finish == Finish::nothing) return;
        for (int k = 0; k < pack_size; ++k)
            pack[k] = finish == Finish::relu ? ReluOf{}(pack[k]) : GeluTanhOf{}(pack[k]);
    }
};

/// Terms of the sums of columns (column_sums.hpp) of a matrix whose rows may lie apart.
struct StridedColumns {
    static constexpr int count = 1;
    Source values;
    std::int64_t stride;  ///< elements of a row

    [[nodiscard]] TRIREME_HD std::int64_t column(std::int64_t channel, int) const { return channel; }
    TRIREME_HD void add(std::int64_t channel, std::int64_t row, std::int64_t, int n,
                        Pack (&sums)[count]) const {
        const Pack pack = values.read(row * stride + channel, n);
        for (int k = 0; k < pack_size; ++k) sums[0][k] += pack[k];
    }
};

}  // namespace trireme::cuda
